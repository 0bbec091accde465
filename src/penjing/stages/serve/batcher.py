"""Answers rows from many threads in batches. Knows nothing of HTTP, event loops, or what computes the answers.

`Line` (line.py) decides what makes the next batch; here one thread makes rows ready and another computes them. The batch that is computed at the
moment gathers the next one: whatever came in meanwhile goes together, and rows that a cheap step defers join those that were deferred before.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from penjing.core.errors import BadRequest, DataError, RunFailed
from penjing.core.types import Prediction, Row
from penjing.stages.serve.line import Line, Part, Request, Work

Observer = Callable[[int, int, float], None]
"""Told after each batch: its rows, its requests, its seconds."""
_FIRST = re.compile(r"^row 1\b", re.IGNORECASE)


class Busy(RunFailed):
    """There is no room for these rows now, or no time; `retry_after_s` says when there should be."""

    def __init__(self, sentence: str, retry_after_s: float, own: bool = False) -> None:
        """own: whether it is for what this tenant asks itself, beside others who ask less."""
        super().__init__(f"{sentence} Ask again in {retry_after_s:.1f} s.")
        self.retry_after_s, self.own = retry_after_s, own


class TooManyRows(BadRequest):
    """More rows in one request than could ever wait."""


class Model(Protocol):
    """What computes the answers, in steps: each answers some rows and defers the others. What it holds between them is its own."""

    steps: int

    def begin(self, rows: list[Row]) -> Any:
        """Return what is held of `rows` before the first step."""

    def ready(self, held: Any) -> Sequence[int]:
        """Make everything ready for the step that `held` has come to, and return the tokens of each row. Raises DataError."""

    def part(self, held: Any, start: int, stop: int) -> Any:
        """Return what is held of the rows from `start` to `stop`."""

    def answer(self, held: Sequence[Any]) -> list[tuple[list[Prediction | None], Any]]:
        """Run the step that all of `held` have come to. Return of each: a prediction a row, None for a deferred one, and what is held of those."""

    def predict(self, rows: list[Row]) -> list[Prediction]:
        """Answer `rows` alone, through all steps."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a batch and the queue may hold."""

    max_rows: int = 64
    max_tokens: int = 8192
    max_wait_ms: float = 2.0
    queue_rows: int = 1024


class Batcher:
    """Answers rows through `model`, whose `answer` is called from one thread."""

    def __init__(self, model: Model, limits: Limits, clock: Callable[[], float] = time.monotonic, observer: Observer | None = None) -> None:
        self._model, self._limits, self._clock, self._observer = model, limits, clock, observer
        self._line = Line(model.steps, limits.max_rows, limits.max_tokens, limits.max_wait_ms / 1000)
        self._lock = threading.Lock()
        self._compute_next, self._ready_next = threading.Condition(self._lock), threading.Condition(self._lock)
        self._unready: deque[Work] = deque()
        self._idle, self._preparing, self._closing = False, 0, False
        self._threads = [
            threading.Thread(target=self._computes, name="penjing-batcher", daemon=True),
            threading.Thread(target=self._prepares, name="penjing-encoder", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._line.rows

    @property
    def settled(self) -> bool:
        """Whether all rows that wait are ready to be computed."""
        return not (self._unready or self._preparing)

    @property
    def closing(self) -> bool:
        return self._closing

    def submit(self, rows: Sequence[Row], tenant: str = "", priority: int = 0, within_s: float = math.inf) -> Future[list[Prediction]]:
        """Return the promise of one prediction a row; cancel it to have nothing computed that has not begun.

        tenant: who asks; priority: lower ones are computed first; within_s: seconds after which nobody needs the answer.
        Raises Busy while there is no room or no time, TooManyRows where there never is, RunFailed when closing.
        """
        request = Request(list(rows), tenant, priority, self._clock() + within_s)
        if not request.rows:
            request.future.set_result([])
            return request.future
        most = self._limits.queue_rows
        if len(request.rows) > most:
            raise TooManyRows(f"The request has {len(request.rows)} rows; at most {most} fit. Send them in several requests.")
        with self._lock:
            if self._closing:
                raise RunFailed("The server is stopping. Ask again when it is back.")
            self._line.place(request)
            self._make_room(request, within_s)
            self._line.arrive(request)
            self._unready.append(Work(request, None, range(len(request.rows)), ()))
            (self._compute_next if self._idle else self._ready_next).notify()
        request.future.add_done_callback(lambda future: self._forget(request) if future.cancelled() else None)
        return request.future

    def close(self) -> None:
        """Take nothing more, answer everything that waits, and stop."""
        with self._lock:
            self._closing = True
            self._compute_next.notify_all()
            self._ready_next.notify_all()
        for thread in self._threads:
            thread.join()

    def _make_room(self, request: Request, within_s: float) -> None:
        """Refuse whoever stands last until there is room for `request`. Raises Busy where that is itself, or where it could not be in time."""
        line, rows = self._line, len(request.rows)
        if (ahead_s := line.ahead_s(request)) > within_s:
            sentence = f"The answer would take {ahead_s:.1f} s, and {within_s:g} s were given."
            raise Busy(sentence, self._later(ahead_s - within_s), self._crowds(request))
        while (excess := line.rows + rows - self._limits.queue_rows) > 0:
            later_s = self._later(line.pace.of_rows(0, excess))
            last = line.last()
            if last is None or last.order < request.order:
                raise Busy(f"The server is busy: {line.rows} rows are waiting.", later_s, self._crowds(request))
            line.leave(last)
            if last.future.set_running_or_notify_cancel():
                last.future.set_exception(Busy("The server is busy, and others ask less or come first.", later_s, last.tenant != request.tenant))

    def _forget(self, request: Request) -> None:
        """Make room where a request was cancelled, before its turn comes."""
        with self._lock:
            self._line.leave(request)

    def _crowds(self, request: Request) -> bool:
        """Return whether others wait beside the tenant of `request`, so that the refusal is for what it asks itself."""
        return bool(self._line.tenants - {request.tenant})

    def _later(self, seconds: float) -> float:
        return min(60.0, max(0.1, seconds)) if self._line.pace.known else 1.0

    def _prepares(self) -> None:
        while True:
            with self._lock:
                while not self._unready:
                    if self._done():
                        return
                    self._ready_next.wait()
                work = self._take_unready()
            self._prepare(work)

    def _take_unready(self) -> Work:
        self._preparing += 1
        return self._unready.popleft()

    def _prepare(self, work: Work) -> None:
        """Make the rows of `work` ready and add them to the line; what cannot be is told whoever asked."""
        request, error = work.request, None
        try:
            if not request.future.done():
                work.held = self._model.begin(request.rows) if work.held is None else work.held
                work.sizes = self._model.ready(work.held)
        except BaseException as raised:
            error = self._of_row(work, 0, len(work.places), raised)
        with self._lock:
            self._preparing -= 1
            if error is not None:
                self._fail(request, error)
            elif not request.future.done():
                self._line.add(work)
            else:
                self._line.leave(request)
            self._compute_next.notify()

    def _computes(self) -> None:
        while parts := self._next():
            started_s = self._clock()
            deferred = self._compute(parts)
            ended_s = self._clock()
            with self._lock:
                self._line.ended(parts, ended_s, ended_s - started_s, deferred)
            self._observe(parts, ended_s - started_s)
        with self._lock:
            self._ready_next.notify_all()

    def _next(self) -> list[Part]:
        """Return the next batch when it is time for it; empty when closed and nothing is left. Until it is full, rows are made ready here too."""
        while True:
            work = None
            with self._lock:
                now_s = self._clock()
                wait_s = self._line.wait_s(now_s)
                if self._unready and len(self._unready[0].places) <= self._limits.max_rows - self._line.ready:
                    work = self._take_unready()
                elif wait_s == 0.0 or (self._closing and wait_s is not None):
                    parts, late = self._line.take(now_s)
                    for request in late:
                        request.future.set_exception(Busy("The answer would come too late.", self._later(0.0)))
                    if parts:
                        if self._unready:
                            self._ready_next.notify()
                        return parts
                elif self._unready:
                    work = self._take_unready()
                elif self._done():
                    return []
                else:
                    self._idle = True
                    self._compute_next.wait(wait_s)
                    self._idle = False
            if work is not None:
                self._prepare(work)

    def _done(self) -> bool:
        return self._closing and self.settled and not self._line.rows

    def _compute(self, parts: list[Part]) -> int:
        """Answer `parts`, and return how many of their rows go on to the next step."""
        try:
            held = [self._model.part(part.work.held, part.start, part.stop) for part in parts]
            answered = self._model.answer(held)
            for part, (predictions, _) in zip(parts, answered, strict=True):
                if len(predictions) != part.rows:
                    raise RunFailed(
                        f"The model answered {len(predictions)} of {part.rows} rows. This is a fault of its engine; report it to whoever made it."
                    )
        except BaseException as error:  # a panic in a native library is no Exception, and must not end the thread that all wait for
            if len(parts) > 1:  # only the request that cannot be answered fails
                return sum(self._compute([part]) for part in parts)
            [part] = parts
            told = self._of_row(part.work, part.start, part.stop, error)
            with self._lock:
                self._fail(part.work.request, told)
            return 0
        with self._lock:
            return sum(self._deliver(part, *found) for part, found in zip(parts, answered, strict=True))

    def _deliver(self, part: Part, predictions: list[Prediction | None], held: Any) -> int:
        """Keep the answers of `part`, and let its other rows go on. Return how many those are."""
        work, onward = part.work, []
        request = work.request
        if request.future.done():
            return 0
        for place, prediction in zip(work.places[part.start : part.stop], predictions, strict=True):
            if prediction is None:
                onward.append(place)
            else:
                request.answers[place] = prediction
        request.left -= part.rows - len(onward)
        if onward:
            self._line.back(request, len(onward))
            self._unready.append(Work(request, held, onward, (), work.step + 1))
        elif not request.left:
            self._line.leave(request)
            request.future.set_result([answer for answer in request.answers if answer is not None])
        return len(onward)

    def _fail(self, request: Request, error: Exception) -> None:
        self._line.leave(request)
        if not request.future.done() and (request.begun or request.future.set_running_or_notify_cancel()):
            request.begun = True
            request.future.set_exception(error)

    def _of_row(self, work: Work, start: int, stop: int, error: BaseException) -> Exception:
        """Return the error with the number of the first row that is refused, found by halving: the model may not say which, or by a batch's count."""
        if not isinstance(error, DataError):
            return error if isinstance(error, Exception) else RunFailed(f"The model broke down: {error}")
        places = work.places[start:stop]
        rows = [work.request.rows[place] for place in places]
        low, high = 0, len(rows)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._refused(rows[low:middle]) else (middle, high)
        alone = error if len(rows) == 1 else self._refused(rows[low:high])
        return _numbered(places[low] + 1, alone) if alone else error

    def _refused(self, rows: list[Row]) -> DataError | None:
        try:
            self._model.predict(rows)
        except BaseException as error:
            return error if isinstance(error, DataError) else None
        return None

    def _observe(self, parts: list[Part], seconds: float) -> None:
        if self._observer is not None:
            with contextlib.suppress(Exception):  # an observer never breaks a request
                self._observer(sum(part.rows for part in parts), len(parts), seconds)


def _numbered(number: int, error: DataError) -> DataError:
    """Return the error of a row that was asked alone, and so was the first to whoever refused it, as that of row `number`."""
    said = _FIRST.sub("", str(error), count=1)
    return DataError(f"Row {number}{said}" if said != str(error) else f"Row {number}: {said}")
