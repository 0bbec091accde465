"""What a request says of itself in its headers: who asks, how urgent it is, and when nobody needs the answer any more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penjing.stages.serve.bodies import BadBody

TENANT, PRIORITY, TIMEOUT = "penjing-tenant", "penjing-priority", "penjing-timeout-ms"
_PRIORITIES = 9
_WHOLE = f"a whole number from -{_PRIORITIES} to {_PRIORITIES}"
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Asked:
    tenant: str
    priority: int
    within_s: float


def asked_in(headers: Mapping[str, str], timeout_ms: float) -> Asked:
    """Return what `headers` say; `timeout_ms` holds where they name none. Raises BadBody 400."""
    priority = _number(headers, PRIORITY, 0, lambda value: abs(value) <= _PRIORITIES and value.is_integer(), _WHOLE)
    timeout = _number(headers, TIMEOUT, timeout_ms, lambda value: 0 < value < math.inf, "a number of milliseconds above 0")
    return Asked(headers.get(TENANT, ""), int(priority), timeout / 1000)


def described() -> list[dict[str, Any]]:
    """Return the headers as OpenAPI parameters."""
    told = {
        TENANT: ("Who asks. Tenants share the machine alike, whatever each asks.", {"type": "string"}),
        PRIORITY: (
            "Lower ones are computed first, whoever asks. 0 where it is left out.",
            {"type": "integer", "minimum": -_PRIORITIES, "maximum": _PRIORITIES},
        ),
        TIMEOUT: (
            "Milliseconds after which nobody needs the answer; refused at once if it would take longer.",
            {"type": "number", "exclusiveMinimum": 0},
        ),
    }
    return [{"name": name, "in": "header", "required": False, "description": why, "schema": schema} for name, (why, schema) in told.items()]


def _number(headers: Mapping[str, str], name: str, default: float, fits: Callable[[float], bool], what: str) -> float:
    given = headers.get(name)
    if given is None:
        return default
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise BadBody(400, f"The header {name} is {given[:_SHOWN]!r}. Send {what}, or leave it out.")
    return value
