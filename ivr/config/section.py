"""What the tables of the settings are made of."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Annotated, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

Minutes = Annotated[int, Field(ge=1, le=24 * 60)]
Seconds = Annotated[int, Field(ge=1, le=3600)]
# technology/resource, as Dial() takes it
Endpoint = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+/[^\s,&|]+$")]
# a name or an address, and a port
Place = Annotated[str, Field(pattern=r"^([^\s:\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Section(BaseModel):
    """A table of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _no_nul(self) -> Self:
        # no path, address or name has one, and the system refuses it with an error that names neither place nor cure
        for name, value in self:
            if isinstance(value, str | Path) and "\0" in str(value):
                raise ValueError(f"{name} has a NUL byte. Leave it out")
        return self


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The table that this field is, also one that may be left out; None for a setting."""
    inner = get_args(field.annotation)
    for kind in (field.annotation, *(inner if NoneType in inner else ())):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
