"""A cascade behind the batcher: each row goes as far as it needs, with whoever has come as far, and is answered as the cascade answers it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from penjing.core.blend import plain
from penjing.core.cascade import Cascade, Step
from penjing.core.errors import DataError
from penjing.core.tier import Tier
from penjing.core.types import Batch, NDArray, Ragged, Row
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.stages.serve.batcher import Batcher, Busy, Limits
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.router import Steps, model_of
from penjing.stages.serve.service import Served, Service

TASK = TextClassification("rating", ["text"], ["a", "b", "c"])


@dataclass(frozen=True)
class Digits:
    """A processor: the number that is the text, in as many tokens as it has digits. Texts of no digit are 0, and bad ones are refused."""

    name: str

    def encode(self, rows: Sequence[Row]) -> Batch:
        for place, row in enumerate(rows, 1):
            if row["text"] == "bad":
                raise DataError(f"Row {place} is no number.")
        return {"digits": Ragged.of([[int(digit) for digit in row["text"] if digit.isdecimal()] or [0] for row in rows], np.int64)}


@dataclass
class Table:
    """An engine: what a table says of the number. It notes what it is asked, and can be held."""

    logits: NDArray
    batches: list[list[int]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def run(self, batch: Batch) -> Batch:
        digits = batch["digits"]
        assert isinstance(digits, Ragged)
        numbers = [int("".join(map(str, digits[i]))) for i in range(len(digits))]
        self.batches.append(numbers)
        self.entered.set()
        assert self.go.wait(60)
        return {"logits": self.logits[numbers]}

    def work(self, batch: Batch) -> float:
        return 1.0


def cascade(least: float = 0.8) -> tuple[Cascade, list[Table]]:
    """Three tiers of noise, a step each."""
    tables = [Table(np.random.default_rng(seed).normal(0, 2, (2000, 3)).astype(np.float32)) for seed in range(3)]
    for one in tables:
        one.go.set()
    tiers = {name: Tier(name, TASK, Digits(name), engine) for name, engine in zip("xyz", tables, strict=True)}
    steps = tuple(Step(tuple("xyz"[: i + 1]), plain(list("xyz"[: i + 1]), 3, "softmax"), np.array([least] if i < 2 else [])) for i in range(3))
    return Cascade("cascade", tiers, steps), tables


def rows(*numbers: int) -> list[Row]:
    return [{"text": str(number)} for number in numbers]


def test_rows_are_answered_as_by_the_cascade_itself_whoever_asks_beside_them() -> None:
    served, _ = cascade()
    expected = served.predict(rows(*range(1000)))
    assert len({prediction["tier"] for prediction in expected}) == 3
    queue = Batcher(model_of(served), Limits(max_rows=16, max_tokens=40))
    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(lambda start: queue.submit(rows(*range(start, start + 10))).result(60), range(0, 1000, 10)))
    queue.close()
    assert [prediction for answers in found for prediction in answers] == expected


def test_deferred_rows_of_several_requests_go_on_together() -> None:
    served, tables = cascade(least=2.0)  # nothing is sure
    queue = Batcher(Steps(served), Limits(max_rows=8))
    tables[0].go.clear()
    first = queue.submit(rows(1))
    assert tables[0].entered.wait(10)
    others = [queue.submit(rows(number)) for number in (2, 3, 4)]
    tables[1].go.clear()
    tables[0].go.set()
    assert tables[1].entered.wait(10)
    tables[1].go.set()
    for future in (first, *others):
        future.result(10)
    queue.close()
    assert tables[0].batches == [[1], [2, 3, 4]]
    assert sorted(tables[2].batches[-1])[-3:] == [2, 3, 4]
    assert sum(map(len, tables[2].batches)) == 4


def test_a_row_that_cannot_be_read_is_named_and_fails_its_request_alone() -> None:
    queue = Batcher(Steps(cascade()[0]), Limits())
    good = queue.submit(rows(1, 2))
    bad = queue.submit([*rows(1, 2), {"text": "bad"}])
    assert len(good.result(10)) == 2
    with pytest.raises(DataError, match="^Row 3 is no number"):
        bad.result(10)
    assert queue.waiting == 0


def test_long_rows_fill_a_batch_sooner() -> None:
    served, tables = cascade()
    queue = Batcher(Steps(served), Limits(max_tokens=6))
    queue.submit(rows(1111, 1112, 1, 2, 3, 4, 5, 6, 7)).result(10)
    assert tables[0].batches == [[1111], [1112, 1, 2], [3, 4, 5, 6, 7]]


@pytest.mark.changes("serve.max_tokens")
def test_the_user_says_how_long_a_batch_is() -> None:
    for limit, first in {4: [1111], 8: [1111, 1112]}.items():
        served, tables = cascade()
        service = Service(served, Served("numbers"), ServeConfig(max_tokens=limit))
        tables[0].batches.clear()
        service.batcher.submit(rows(1111, 1112, 1113)).result(10)
        assert tables[0].batches[0] == first
        service.batcher.close()


def held() -> tuple[Batcher, Table]:
    """A batcher whose model works at a row, and goes on when it is let."""
    served, tables = cascade(least=0.0)
    queue = Batcher(Steps(served), Limits(queue_rows=4))
    queue.submit(rows(1)).result(10)
    tables[0].go.clear()
    tables[0].entered.clear()
    queue.submit(rows(1))
    assert tables[0].entered.wait(10)
    return queue, tables[0]


def test_a_full_queue_makes_room_for_who_asks_less() -> None:
    queue, table = held()
    crowd = [queue.submit(rows(number), "much") for number in (2, 3, 4, 5)]
    with pytest.raises(Busy) as busy:
        queue.submit(rows(6), "much")
    assert not busy.value.own, "nobody else waits"
    other = queue.submit(rows(7), "little")
    with pytest.raises(Busy, match="others ask less") as busy:
        crowd[-1].result(10)
    assert busy.value.own
    table.go.set()
    assert all(len(future.result(10)) == 1 for future in (*crowd[:-1], other))


def test_a_full_queue_makes_room_for_what_is_urgent() -> None:
    queue, table = held()
    usual = [queue.submit(rows(number)) for number in (2, 3, 4, 5)]
    urgent = queue.submit(rows(6, 7), priority=-1)
    assert [future.done() for future in usual] == [False, False, True, True]
    table.go.set()
    assert len(urgent.result(10)) == 2


def test_what_would_come_too_late_is_refused_at_once() -> None:
    queue, table = held()
    waits = queue.submit(rows(2))
    with pytest.raises(Busy, match=r"would take .* s, and 1e-09 s were given") as busy:
        queue.submit(rows(1), within_s=1e-9)
    assert busy.value.retry_after_s > 0
    table.go.set()
    assert len(waits.result(10)) == 1


def test_an_idle_server_refuses_nobody_however_long_the_last_batch_took() -> None:
    queue, table = held()
    clock = queue._clock
    queue._clock = lambda: clock() + 1000.0
    table.go.set()
    while queue._line.pace.of_rows(0, 1) < 100:
        time.sleep(0.001)
    assert len(queue.submit(rows(1), within_s=5.0).result(10)) == 1


def test_a_cancelled_request_makes_room_at_once() -> None:
    queue, table = held()
    crowd = [queue.submit(rows(number)) for number in (2, 3, 4, 5)]
    assert crowd[1].cancel()
    assert queue.waiting == 3
    other = queue.submit(rows(6))
    table.go.set()
    assert len(other.result(10)) == 1
    assert [3] not in table.batches


def test_what_has_become_late_while_it_waited_is_not_computed() -> None:
    queue, table = held()
    late = queue.submit(rows(5), within_s=1e9)
    late_too = queue.submit(rows(6), within_s=30.0)
    clock = queue._clock
    queue._clock = lambda: clock() + 60.0
    table.go.set()
    assert len(late.result(10)) == 1
    with pytest.raises(Busy, match="too late"):
        late_too.result(10)
    assert [6] not in table.batches
