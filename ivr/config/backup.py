"""The settings of back-ups."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ivr.config.section import Section

# age's public keys (X25519): a prefix and bech32
_Recipient = Annotated[str, Field(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]


class Backup(Section):
    """Back-ups, which `ari_app.py backup FILE` writes."""

    recipients: tuple[_Recipient, ...] = Field(
        (), description='Public keys of those who may read back-ups, ["age1…"], as `keys backup` prints them'
    )
