"""Gathers requests into batches: rows in, predictions out. Knows nothing of HTTP, event loops, or what computes the predictions.

`Line` decides which rows make the next batch and when (plain lists and a clock; no threads); `Batcher` has one thread that computes them.
The batch that is computed at the moment gathers the next one: whatever came in meanwhile goes together.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from penjing.core.errors import BadRequest, DataError, RunFailed
from penjing.core.types import Prediction, Row

Predict = Callable[[list[Row]], list[Prediction]]
Observer = Callable[[int, int, float], None]
"""Told after each batch: its rows, its requests, its seconds."""
_FIRST = re.compile(r"^row 1\b", re.IGNORECASE)


class Busy(RunFailed):
    """There is no room for these rows now; `retry_after_s` says when there should be."""

    def __init__(self, waiting: int, retry_after_s: float) -> None:
        super().__init__(f"The server is busy: {waiting} rows are waiting. Ask again in {retry_after_s:.1f} s.")
        self.retry_after_s = retry_after_s


class TooManyRows(BadRequest):
    """More rows in one request than could ever wait."""


@dataclass(eq=False, slots=True)
class Request:
    rows: list[Row]
    future: Future[list[Prediction]] = field(default_factory=Future)
    taken: int = 0
    """Rows that have gone into batches."""
    answers: list[Prediction] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one request that go into one batch."""

    request: Request
    rows: list[Row]
    before: int = 0
    """Rows of the request that went into earlier batches."""


class Line:
    """First come, first served, in batches. Not thread-safe: its owner holds a lock."""

    def __init__(self, max_rows: int, max_wait_s: float) -> None:
        self._max_rows = max_rows
        self._max_wait_s = max_wait_s
        self._requests: deque[Request] = deque()
        self._company = 1
        self._ended_s = float("-inf")
        self._took_s = 0.0
        self.rows = 0
        """Rows that wait."""

    def add(self, request: Request) -> None:
        self._requests.append(request)
        self.rows += len(request.rows)

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until the next batch should go: 0 for now, None while nobody waits.

        Several requests in the last batch mean clients that are about to ask again: worth waiting for as many, right after it, and for no
        longer than it took to compute. So a lone request on an idle server goes at once.
        """
        if not self._requests:
            return None
        if self.rows >= self._max_rows or len(self._requests) >= self._company or self._requests[0].taken:
            return 0.0
        return max(0.0, self._ended_s + min(self._max_wait_s, self._took_s) - now_s)

    def take(self) -> list[Part]:
        """Return the parts of the next batch; a request larger than a batch is split, and a cancelled one skipped."""
        parts: list[Part] = []
        room = self._max_rows
        while room and self._requests:
            request = self._requests[0]
            if not request.taken and not request.future.set_running_or_notify_cancel():
                self._drop_first()
                continue
            rows = request.rows[request.taken : request.taken + room]
            parts.append(Part(request, rows, request.taken))
            request.taken += len(rows)
            room -= len(rows)
            self.rows -= len(rows)
            if request.taken == len(request.rows):
                self._requests.popleft()
        return parts

    def ended(self, parts: Sequence[Part], now_s: float, took_s: float) -> None:
        """Note that a batch was computed; what is left of a request that failed is given up."""
        self._company, self._ended_s, self._took_s = len(parts), now_s, took_s
        if self._requests and self._requests[0].future.done():
            self._drop_first()

    def _drop_first(self) -> None:
        request = self._requests.popleft()
        self.rows -= len(request.rows) - request.taken


class Batcher:
    """Answers rows from many threads through `predict`, which is called from one thread with at most `max_rows` rows."""

    def __init__(
        self,
        predict: Predict,
        max_rows: int,
        max_wait_ms: float,
        queue_rows: int,
        clock: Callable[[], float] = time.monotonic,
        observer: Observer | None = None,
    ) -> None:
        self._predict = predict
        self._queue_rows = queue_rows
        self._clock = clock
        self._observer = observer
        self._line = Line(max_rows, max_wait_ms / 1000)
        self._changed = threading.Condition()
        self._closing = False
        self._rows_per_s = 0.0
        self._thread = threading.Thread(target=self._work, name="penjing-batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._line.rows

    @property
    def closing(self) -> bool:
        return self._closing

    def submit(self, rows: Sequence[Row]) -> Future[list[Prediction]]:
        """Return the promise of one prediction a row.

        Raises Busy while there is no room, TooManyRows where there never is, RunFailed when closing.
        """
        request = Request(list(rows))
        if not request.rows:
            request.future.set_result([])
            return request.future
        if len(request.rows) > self._queue_rows:
            raise TooManyRows(f"The request has {len(request.rows)} rows; at most {self._queue_rows} fit. Send them in several requests.")
        with self._changed:
            if self._closing:
                raise RunFailed("The server is stopping. Ask again when it is back.")
            if self._line.rows + len(request.rows) > self._queue_rows:
                raise Busy(self._line.rows, self._retry_after_s(len(request.rows)))
            self._line.add(request)
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """Take nothing more, answer everything that waits, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _retry_after_s(self, rows: int) -> float:
        """Return when `rows` rows should find room, from the speed of the last batches."""
        excess = self._line.rows + rows - self._queue_rows
        return min(60.0, max(0.1, excess / self._rows_per_s)) if self._rows_per_s else 1.0

    def _work(self) -> None:
        while parts := self._next():
            started_s = self._clock()
            self._compute(parts)
            ended_s = self._clock()
            with self._changed:
                self._line.ended(parts, ended_s, ended_s - started_s)
            self._observe(parts, ended_s - started_s)

    def _next(self) -> list[Part]:
        """Return the next batch when it is time for it; empty when closed and nothing is left."""
        with self._changed:
            while True:
                wait_s = self._line.wait_s(self._clock())
                if self._closing or wait_s == 0.0:
                    parts = self._line.take()
                    if parts or self._closing:
                        return parts
                else:
                    self._changed.wait(wait_s)

    def _compute(self, parts: list[Part]) -> None:
        try:
            predictions = self._checked([row for part in parts for row in part.rows])
        except BaseException as error:  # a panic in a native library is no Exception, and must not end the thread that all wait for
            self._blame(parts, error if isinstance(error, Exception) else RunFailed(f"The model broke down: {error}"))
            return
        at = 0
        for part in parts:
            _deliver(part, predictions[at : at + len(part.rows)])
            at += len(part.rows)

    def _blame(self, parts: list[Part], error: Exception) -> None:
        """Compute each request alone, so that only the one that cannot be answered fails, and learns which of its rows is to blame."""
        if len(parts) == 1:
            [part] = parts
            part.request.future.set_exception(self._named(part, error) if isinstance(error, DataError) else error)
            return
        for part in parts:
            self._compute([part])

    def _named(self, part: Part, error: DataError) -> DataError:
        """Return the error with the number of the first row that is refused, found by halving: the model may not say which, or by a batch's count."""
        low, high = 0, len(part.rows)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._refused(part.rows[low:middle]) else (middle, high)
        alone = error if len(part.rows) == 1 else self._refused(part.rows[low:high])
        return _numbered(part.before + low + 1, alone) if alone else error

    def _refused(self, rows: list[Row]) -> DataError | None:
        try:
            self._predict(rows)
        except BaseException as error:
            return error if isinstance(error, DataError) else None
        return None

    def _checked(self, rows: list[Row]) -> list[Prediction]:
        predictions = self._predict(rows)
        if len(predictions) != len(rows):
            raise RunFailed(
                f"The model answered {len(predictions)} of {len(rows)} rows. This is a fault of its engine; report it to whoever made it."
            )
        return predictions

    def _observe(self, parts: list[Part], seconds: float) -> None:
        rows = sum(len(part.rows) for part in parts)
        if seconds > 0:
            speed = rows / seconds
            self._rows_per_s = speed if not self._rows_per_s else 0.8 * self._rows_per_s + 0.2 * speed
        if self._observer is not None:
            with contextlib.suppress(Exception):  # an observer never breaks a request
                self._observer(rows, len(parts), seconds)


def _numbered(number: int, error: DataError) -> DataError:
    """Return the error of a row that was asked alone, and so was the first to whoever refused it, as that of row `number`."""
    said = _FIRST.sub("", str(error), count=1)
    return DataError(f"Row {number}{said}" if said != str(error) else f"Row {number}: {said}")


def _deliver(part: Part, predictions: list[Prediction]) -> None:
    request = part.request
    request.answers += predictions
    if len(request.answers) == len(request.rows):
        request.future.set_result(request.answers)
