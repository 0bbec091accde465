"""What ends a run from within, as a signal would, for tests that go on with it."""

from __future__ import annotations

from collections.abc import Callable

from penjing.core.protocols import Silent


class Killed(BaseException):
    """No Exception: nothing that mends or words errors may catch it."""


class Killer(Silent):
    """A Progress that ends the run once `when(what the step is, how far it got, its note)` is true."""

    def __init__(self, when: Callable[[str, float, str], bool], end: Callable[[], None] | None = None) -> None:
        self.when, self.end, self.what = when, end, ""

    @classmethod
    def after(cls, times: int, step: str | None = None, end: Callable[[], None] | None = None) -> Killer:
        """End it after it told `times` times how far it got, in the step called `step` alone where one is named."""
        left = iter(range(times))
        return cls(lambda what, done, note: step in (None, what) and next(left, None) is None, end)

    def start(self, what: str, total: float) -> None:
        self.what = what

    def advance(self, done: float, note: str = "") -> None:
        if self.when(self.what, done, note):
            if self.end is not None:
                self.end()
            raise Killed
