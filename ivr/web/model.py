"""What all that the API takes and gives is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", strict=True)]


class Model(BaseModel):
    """Nothing else than what is named is taken, or given."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
