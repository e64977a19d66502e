"""`sample`: the settings file, ready to be edited."""

from __future__ import annotations

from typing import Annotated

import typer

from ivr import sample as made


def sample(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The page about the settings (docs/configuration.md) instead.")
    ] = False,
) -> None:
    """Print a settings file (TOML) in which every setting stands with its default."""
    typer.echo(made.page() if markdown else made.sample(), nl=False)
