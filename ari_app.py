#!/usr/bin/env python3
"""The command: `ari_app.py run`, `ari_app.py customer …`, `ari_app.py --help`."""

import gc


def main() -> None:
    """Run the command that was typed."""
    # What is imported stays: to look through it for what may go would be a seventh of a command's time, and pauses in calls.
    gc.disable()
    from ivr.cli import main as typed

    gc.freeze()
    gc.enable()
    typed()


if __name__ == "__main__":
    main()
