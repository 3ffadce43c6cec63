"""The base of every configuration model."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A value read from configuration: immutable, and refusing what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=False)
