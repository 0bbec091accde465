"""A limit on a measurement: one line of the `release:` section. Knows nothing of reports; the gate judges by it."""

from __future__ import annotations

import math
from typing import Any, Literal

import pydantic
from pydantic_core import PydanticCustomError

from penjing.core.config import Section
from penjing.core.errors import nearest

_BOUNDS = ("at_least", "at_most")
_KEYS = (*_BOUNDS, "on")


class Limit(Section):
    """What a measured value must be at least, or at most. In YAML: `{at_least: 0.85}`, or `{at_most: 20, on: worse_end}`."""

    model_config = pydantic.ConfigDict(json_schema_extra={"oneOf": [{"required": [bound]} for bound in _BOUNDS]})

    at_least: float | None = pydantic.Field(default=None, strict=True, allow_inf_nan=False)
    """The least that holds, in the unit of the measurement."""
    at_most: float | None = pydantic.Field(default=None, strict=True, allow_inf_nan=False)
    """The most that holds, in the unit of the measurement."""
    on: Literal["value", "worse_end"] = "value"
    """What is judged: the measured value, or the end of its 95 % interval that is nearer to breaking the limit."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _one_bound(cls, given: Any) -> Any:
        """Refuse what is not exactly one bound, in the user's spelling."""
        if isinstance(given, Limit):
            return given
        if not isinstance(given, dict):
            raise _complaint("a limit is a mapping, such as {at_least: 0.85} or {at_most: 20}")
        given = {"on" if key is True else key: value for key, value in given.items()}  # an unquoted `on` is "true" in YAML 1.1
        for key in given:
            if key not in _KEYS:
                raise _complaint(f"a limit has no key {key!r} ({nearest(str(key), _KEYS).rstrip('.')})")
        bounds = [bound for bound in _BOUNDS if bound in given]
        if len(bounds) != 1:
            raise _complaint(f"a limit has {'both at_least and at_most' if bounds else 'neither at_least nor at_most'}, and needs one of them")
        if given[bounds[0]] is None:
            raise _complaint(f"{bounds[0]} is empty, and needs a number")
        return given

    @pydantic.model_serializer
    def described(self) -> dict[str, Any]:
        """Return it as it is written: the one bound, and what is judged."""
        return {self.bound: self.asked, "on": self.on}

    @property
    def bound(self) -> Literal["at_least", "at_most"]:
        return "at_most" if self.at_least is None else "at_least"

    @property
    def asked(self) -> float:
        """The number of the bound."""
        asked = self.at_most if self.at_least is None else self.at_least
        assert asked is not None  # noqa: S101  # one of the two is there
        return asked

    def short(self, value: float) -> float:
        """Return by how much `value` breaks the limit; 0 or less where it holds, and never 0 or less for what is not a number."""
        short = self.asked - value if self.bound == "at_least" else value - self.asked
        return math.inf if math.isnan(short) else short

    def __str__(self) -> str:
        return f"{self.bound.replace('_', ' ')} {self.asked:.6g}"


def _complaint(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("limit", "{sentence}", {"sentence": sentence})
