"""The base of every configuration model."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A configuration value: immutable, and unknown keys are errors.

    Keys are written in camelCase, as in every Kubernetes manifest; attributes are in snake_case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)
