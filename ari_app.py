#!/usr/bin/env python3
"""The command: `ari_app.py run`, `ari_app.py customer …`, `ari_app.py --help`."""

from ivr.cli import main

if __name__ == "__main__":
    main()
