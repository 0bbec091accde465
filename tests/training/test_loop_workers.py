"""Workers that learn one net together decide alike, and come to what one comes to."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest

from penjing.core.allowance import Allowance
from penjing.core.errors import PlanError
from penjing.core.types import NDArray
from penjing.training import loop

Descend = Callable[..., Any]


class Together:
    """Workers in threads of this process."""

    def __init__(self, rank: int, shared: dict[str, Any]) -> None:
        self.rank, self.count, self._shared = rank, shared["barrier"].parties, shared

    def share(self, rows: NDArray) -> NDArray:
        return np.array_split(rows, self.count)[self.rank]

    def add(self, tensors: Any) -> None:
        self._shared[self.rank] = [tensor.clone() for tensor in tensors]
        self.wait()
        for i, tensor in enumerate(tensors):
            tensor.copy_(sum(self._shared[rank][i] for rank in range(self.count)))
        self.wait()

    def copy(self, tensors: Any) -> None:
        self._shared[self.rank] = [tensor.clone() for tensor in tensors]
        self.wait()
        for tensor, first in zip(tensors, self._shared[0], strict=True):
            tensor.copy_(first)
        self.wait()

    def wait(self) -> None:
        self._shared["barrier"].wait(20)


def together(descend: Descend, trainees: list[Any], fittings: list[dict[str, Any]] | None = None, **regime: Any) -> None:
    """Learn all `trainees` together, in threads that share nothing but what workers do."""
    shared: dict[str, Any] = {"barrier": Barrier(len(trainees))}
    failed: list[BaseException] = []

    def work(rank: int) -> None:
        try:
            given = {"workers": Together(rank, shared), **(fittings[rank] if fittings else {})}
            descend(trainees[rank], folder="together", fitting=given, **regime)
        except BaseException as error:
            failed.append(error)
            shared["barrier"].abort()

    threads = [Thread(target=work, args=(rank,)) for rank in range(len(trainees))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


@pytest.mark.parametrize("count", [2, 3])
def test_several_workers_come_to_what_one_comes_to(descend: Descend, Tiny: Any, count: int) -> None:
    alone, trainees = descend(Tiny(dropout=0.0), l1=1e-3, average="ema"), [Tiny(dropout=0.0) for _ in range(count)]
    together(descend, trainees, l1=1e-3, average="ema")
    assert len({trainee.weights for trainee in trainees}) == 1
    assert trainees[0].judged[-1].loss == pytest.approx(alone.judged[-1].loss, abs=1e-4)
    rows = [np.concatenate([rows for epoch, rows in trainee.asked if epoch == 1]) for trainee in trainees]
    assert sorted(np.concatenate(rows)) == list(range(120))


def test_workers_that_begin_and_judge_otherwise_do_as_the_first_one(descend: Descend, Tiny: Any) -> None:
    alone, trainees = descend(Tiny(dropout=0.0)), [Tiny(dropout=0.0), Tiny(seed=3, dropout=0.0, held_out=7)]
    together(descend, trainees)
    assert trainees[0].weights == trainees[1].weights
    assert trainees[0].judged[-1].loss == pytest.approx(alone.judged[-1].loss, abs=1e-4)


def test_workers_of_which_some_have_no_rows_in_a_step_learn_too(descend: Descend, Tiny: Any) -> None:
    alone, trainees = descend(Tiny(dropout=0.0), batch_size=1, epochs=1), [Tiny(dropout=0.0) for _ in range(2)]
    together(descend, trainees, batch_size=1, epochs=1)
    assert not trainees[1].asked
    assert trainees[0].weights == trainees[1].weights
    assert trainees[0].judged[-1].loss == pytest.approx(alone.judged[-1].loss, abs=1e-3)


def test_workers_stop_together_and_one_alone_writes(descend: Descend, Tiny: Any, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop.State, "write", lambda self, folder, position: written.append(position.step))
    left = iter([None] * 5 + ["its time is used up"] * 9)

    class Short(Allowance):
        def spent(self) -> str | None:
            return next(left)

    trainees = [Tiny(), Tiny()]
    together(descend, trainees, [{"allowance": Allowance()}, {"allowance": Short()}])
    assert [len(trainee.asked) for trainee in trainees] == [6, 6]
    assert sorted(told.said)[0].startswith("Learning stopped in epoch 1 of 4: its time is used up")
    assert "the allowance of another worker is used up" in sorted(told.said)[1]
    assert written == [1, 2, 3, 4, 5, 0, 0]


def test_workers_are_refused_a_net_that_is_normed_by_batch(descend: Descend, Tiny: Any) -> None:
    trainees = [Tiny(), Tiny()]
    trainees[0].divisible = trainees[1].divisible = False
    with pytest.raises(PlanError, match="Leave distributed out"):
        together(descend, trainees)
