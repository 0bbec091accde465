"""The errors a user can meet, and the exit code each becomes.

PenjingError                 1  it failed while running; finished stages are kept
├── BadRequest               2  what was asked cannot be done as asked
│   ├── ConfigError             a key or value of penjing.yaml or --set
│   ├── DataError               a file, line, column or row of the user's data
│   ├── PlanError               a tier that cannot work here, found before anything is spent
│   └── MissingLibrary          an optional library that a plugin needs
├── RunFailed                1  the machine said no in the middle: disk, permission, memory
├── Interrupted              1  Ctrl-C or SIGTERM; run the same command again to go on
├── GateClosed               3  a limit, the user's or a default one, does not hold
└── Refused                  4  a signature, digest or permission does not hold

Every message says what is wrong, where, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class PenjingError(Exception):
    """Base of everything Penjing raises on purpose; `exit_code` is the verdict the command line returns."""

    exit_code = 1


class BadRequest(PenjingError):
    exit_code = 2


class ConfigError(BadRequest):
    pass


class DataError(BadRequest):
    pass


class PlanError(BadRequest):
    pass


class MissingLibrary(BadRequest):
    pass


class RunFailed(PenjingError):
    pass


class Interrupted(PenjingError):
    pass


class GateClosed(PenjingError):
    exit_code = 3
    report: dict[str, Any] | None = None
    """The judged report, where there is one."""


class Refused(PenjingError):
    exit_code = 4


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the closest of the `known` names, or lists them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There is: {', '.join(names) or 'nothing'}."
