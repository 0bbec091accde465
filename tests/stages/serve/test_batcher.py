"""Gathering requests into batches, with plain lists and no HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from penjing.core.errors import DataError, RunFailed
from penjing.core.types import Prediction, Row
from penjing.stages.serve.batcher import Batcher, Busy, Limits, TooManyRows
from penjing.stages.serve.line import Line, Request, Work
from penjing.stages.serve.router import Whole


def rows(*numbers: int) -> list[Row]:
    return [{"number": number} for number in numbers]


class Doubler:
    """A model that doubles, remembers its batches, fails on 13, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, batch: list[Row]) -> list[Prediction]:
        numbers = [row["number"] for row in batch]
        self.batches.append(numbers)
        self.entered.set()
        self.go.wait(10)
        if 13 in numbers:
            raise ValueError("13 cannot be doubled")
        return [{"double": 2 * number} for number in numbers]


def batcher(model: Any, max_rows: int = 8, queue_rows: int = 100, **more: Any) -> Batcher:
    return Batcher(Whole(SimpleNamespace(predict=model)), Limits(max_rows, max_wait_ms=0, queue_rows=queue_rows), **more)  # type: ignore[arg-type]


def doubles(future: Future[list[Prediction]]) -> list[int]:
    return [prediction["double"] for prediction in future.result(10)]


def settle(queue: Batcher) -> None:
    """Wait until all that was submitted is ready to be computed."""
    while not queue.settled:
        time.sleep(0.001)


def hold(model: Doubler, queue: Batcher) -> Future[list[Prediction]]:
    """Have `model` work on a first request until `model.go` is set, so that the next ones wait together."""
    model.go.clear()
    first = queue.submit(rows(0))
    assert model.entered.wait(10)
    return first


def test_every_client_gets_its_own_answers_in_order() -> None:
    queue = batcher(Doubler())

    def ask(start: int) -> bool:
        return doubles(queue.submit(rows(*range(start, start + 5)))) == [2 * n for n in range(start, start + 5)]

    with ThreadPoolExecutor(16) as clients:
        assert all(clients.map(ask, range(100, 1100, 5)))
    queue.close()


def test_what_comes_in_while_a_batch_is_computed_goes_together() -> None:
    model = Doubler()
    queue = batcher(model)
    hold(model, queue)
    later = [queue.submit(rows(n)) for n in (1, 2, 3)]
    settle(queue)
    model.go.set()
    assert [doubles(f) for f in later] == [[2], [4], [6]]
    assert model.batches == [[0], [1, 2, 3]]


def test_a_request_larger_than_a_batch_is_split_and_joined_again() -> None:
    model = Doubler()
    queue = batcher(model, max_rows=4)
    assert doubles(queue.submit(rows(*range(10)))) == [2 * n for n in range(10)]
    assert [len(b) for b in model.batches] == [4, 4, 2]


def test_only_the_request_that_cannot_be_answered_fails() -> None:
    model = Doubler()
    queue = batcher(model)
    hold(model, queue)
    good, bad, other = queue.submit(rows(1, 2)), queue.submit(rows(13)), queue.submit(rows(3))
    model.go.set()
    assert doubles(good) == [2, 4]
    assert doubles(other) == [6]
    with pytest.raises(ValueError, match="13 cannot be doubled"):
        bad.result(10)


def test_what_is_left_of_a_failed_request_is_not_computed() -> None:
    model = Doubler()
    queue = batcher(model, max_rows=2)
    with pytest.raises(ValueError, match="13"):
        queue.submit(rows(13, 1, 2, 3, 4)).result(10)
    assert doubles(queue.submit(rows(5))) == [10]
    assert model.batches == [[13, 1], [5]]
    assert queue.waiting == 0


def test_a_panic_of_a_native_library_fails_one_request_and_not_the_server() -> None:
    class Panic(BaseException):
        pass

    def model(batch: list[Row]) -> list[Prediction]:
        if batch[0]["number"] == 13:
            raise Panic("index out of bounds")
        return [{"double": 0} for _ in batch]

    queue = batcher(model)
    with pytest.raises(RunFailed, match="index out of bounds"):
        queue.submit(rows(13)).result(10)
    assert doubles(queue.submit(rows(1))) == [0]


def test_a_model_that_answers_too_few_rows_is_found_out() -> None:
    queue = batcher(lambda batch: [{} for _ in batch[1:]])
    with pytest.raises(RunFailed, match="answered 1 of 2 rows"):
        queue.submit(rows(1, 2)).result(10)


def test_a_cancelled_request_is_not_computed() -> None:
    model = Doubler()
    queue = batcher(model)
    hold(model, queue)
    cancelled, kept = queue.submit(rows(1)), queue.submit(rows(2))
    assert cancelled.cancel()
    model.go.set()
    assert doubles(kept) == [4]
    assert model.batches == [[0], [2]]
    assert queue.waiting == 0


def test_a_full_queue_says_when_to_ask_again() -> None:
    model = Doubler()
    queue = batcher(model, queue_rows=3)
    hold(model, queue)
    waiting = queue.submit(rows(1, 2))
    with pytest.raises(Busy, match="2 rows are waiting") as busy:
        queue.submit(rows(3, 4))
    assert 0 < busy.value.retry_after_s <= 60
    model.go.set()
    assert doubles(waiting) == [2, 4]
    assert doubles(queue.submit(rows(3, 4))) == [6, 8]


def test_a_request_that_could_never_wait_is_refused() -> None:
    with pytest.raises(TooManyRows, match="4 rows; at most 3"):
        batcher(Doubler(), queue_rows=3).submit(rows(1, 2, 3, 4))


def test_no_rows_get_no_predictions_at_once() -> None:
    assert batcher(Doubler()).submit([]).result(0) == []


def test_closing_answers_what_waits_and_takes_nothing_more() -> None:
    model = Doubler()
    queue = batcher(model, max_rows=2)
    first = hold(model, queue)
    waiting = [queue.submit(rows(n)) for n in (1, 2, 3)]
    closer = threading.Thread(target=queue.close)
    closer.start()
    while not queue.closing:
        time.sleep(0.001)
    with pytest.raises(RunFailed, match="stopping"):
        queue.submit(rows(4))
    model.go.set()
    closer.join(10)
    assert [doubles(f) for f in (first, *waiting)] == [[0], [2], [4], [6]]


def test_an_observer_that_fails_breaks_no_request() -> None:
    seen: list[tuple[int, int]] = []

    def observer(number_of_rows: int, requests: int, _seconds: float) -> None:
        seen.append((number_of_rows, requests))
        raise ValueError("no room for figures")

    queue = batcher(Doubler(), observer=observer)
    assert doubles(queue.submit(rows(1, 2))) == [2, 4]
    assert doubles(queue.submit(rows(3))) == [6]
    queue.close()
    assert seen == [(2, 1), (1, 1)]


def line_after(last_batch: int, took_s: float, waiting: int, max_rows: int = 8) -> Line:
    """A line whose last batch held `last_batch` requests and ended at second 10."""
    line = Line(1, max_rows, max_tokens=1000, max_wait_s=0.002)
    add(line, [1] * last_batch)
    parts, _ = line.take(9.0)
    line.ended(parts, 10.0, took_s, deferred=0)
    for part in parts:
        line.leave(part.work.request)
    add(line, [1] * waiting)
    return line


def add(line: Line, sizes: Sequence[int]) -> None:
    for size in sizes:
        arrived(line, size)


def arrived(line: Line, size: int, step: int = 0, tokens: int = 1, **request: Any) -> Request:
    """A request of `size` rows that is ready for `step`."""
    asked = Request(rows(*range(size)), **request)
    line.place(asked)
    line.arrive(asked)
    line.add(Work(asked, None, range(size), [tokens] * size, step))
    return asked


def test_nothing_is_due_while_nobody_waits() -> None:
    assert line_after(4, 1.0, waiting=0).wait_s(10.0) is None


def test_a_lone_request_on_an_idle_server_never_waits() -> None:
    assert line_after(0, 0.0, waiting=1).wait_s(10.0) == 0
    assert line_after(1, 1.0, waiting=1).wait_s(10.0) == 0
    assert line_after(4, 1.0, waiting=1).wait_s(10.5) == 0


def test_right_after_a_batch_of_several_the_first_waits_for_the_others() -> None:
    assert line_after(4, 1.0, waiting=1).wait_s(10.0) == pytest.approx(0.002)
    assert line_after(4, 1.0, waiting=4).wait_s(10.0) == 0


def test_nobody_waits_longer_than_the_last_batch_took() -> None:
    assert line_after(4, 0.0005, waiting=1).wait_s(10.0) == pytest.approx(0.0005)


def test_a_full_batch_goes_at_once() -> None:
    line = line_after(8, 1.0, waiting=1)
    add(line, [7])
    assert line.wait_s(10.0) == 0


def test_the_rest_of_a_split_request_goes_at_once() -> None:
    line = line_after(3, 1.0, waiting=0, max_rows=4)
    add(line, [6])
    line.take(10.0)
    assert line.rows == 2
    assert line.wait_s(10.0) == 0


class Choosy:
    """A model that refuses rows with 13, and names them by their place in the batch or not at all."""

    def __init__(self, named: bool) -> None:
        self.named = named
        self.batches: list[list[int]] = []

    def __call__(self, batch: list[Row]) -> list[Prediction]:
        numbers = [row["number"] for row in batch]
        self.batches.append(numbers)
        if 13 in numbers:
            raise DataError(f"Row {numbers.index(13) + 1} holds 13." if self.named else "13 is no number.")
        return [{"double": 2 * number} for number in numbers]


@pytest.mark.parametrize(("named", "told"), [(True, "Row 7 holds 13."), (False, "Row 7: 13 is no number.")])
@pytest.mark.parametrize("max_rows", [1, 2, 3, 4, 7, 100])
def test_a_row_that_is_refused_is_named_by_its_place_in_the_request(named: bool, told: str, max_rows: int) -> None:
    queue = batcher(Choosy(named), max_rows)
    with pytest.raises(DataError) as refused:
        queue.submit(rows(1, 2, 3, 4, 5, 6, 13, 8, 13, 10)).result(10)
    assert str(refused.value) == told
    assert doubles(queue.submit(rows(1))) == [2]


def test_finding_the_row_that_is_refused_takes_few_questions() -> None:
    model = Choosy(named=True)
    with pytest.raises(DataError, match="Row 64 "):
        batcher(model, 64).submit(rows(*[1] * 63, 13)).result(10)
    assert len(model.batches) == 1 + 6 + 1


def test_a_model_that_breaks_while_the_row_is_looked_for_tells_what_it_told_first() -> None:
    asked: list[int] = []

    def model(batch: list[Row]) -> list[Prediction]:
        asked.append(len(batch))
        raise DataError("Something is wrong.") if len(asked) == 1 else ZeroDivisionError

    with pytest.raises(DataError, match="^Something is wrong.$"):
        batcher(model, 64).submit(rows(1, 2, 3)).result(10)
