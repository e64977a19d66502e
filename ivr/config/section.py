"""What the tables of the settings are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Minutes = Annotated[int, Field(ge=1, le=24 * 60)]
Seconds = Annotated[int, Field(ge=1, le=3600)]
# technology/resource, as Dial() takes it
Endpoint = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+/[^\s,&|]+$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Section(BaseModel):
    """A table of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
