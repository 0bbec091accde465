"""Segments in numpy: what enters, what is gone on with, and that every row comes back in its place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from penjing.core.graphs.batching import Described
from penjing.core.graphs.segments import Chain
from penjing.core.types import Batch, NDArray, Ragged, Spec, take


class Adds:
    """A layer that adds its own size to every token; its head tells the sum over real tokens. Counts how often it ran."""

    def __init__(self, depth: int, size: float) -> None:
        self.depth, self.size, self.runs = depth, size, 0

    def run(self, entering: NDArray, mask_RT: NDArray) -> list[NDArray]:
        self.runs += 1
        return [self._head(self._state(entering), mask_RT), self._state(entering)][: 1 if self.depth == 3 else 2]

    def steps(self, entering: NDArray, mask_RT: NDArray) -> Iterator[tuple[str, NDArray]]:
        yield f"layer {self.depth}", self._state(entering)
        yield "head", self._head(self._state(entering), mask_RT)

    def _state(self, entering: NDArray) -> NDArray:
        return (entering[:, :, None] if entering.ndim == 2 else entering).astype(np.float32) + self.size

    def _head(self, state_RTH: NDArray, mask_RT: NDArray) -> NDArray:
        return (state_RTH * mask_RT[:, :, None]).sum(axis=1)


LENGTHS = (3, 40, 0, 7, 3000, 1)
IDS: Batch = {"input_ids": Ragged.of([[10] * n for n in LENGTHS], np.int32)}
TOKENS = np.maximum(1, LENGTHS)
START = np.array([10, 10, 9, 10, 10, 10])  # a row without tokens is read as one pad, 9


def chain() -> Chain:
    return Chain(Described("logits", Spec(1, "identity"), 9, 1, (1, 2)), [Adds(1, 100), Adds(2, 1000), Adds(3, 10000)])


def test_the_whole_and_each_exit_stop_where_they_should() -> None:
    made = chain()
    assert list(made.exits) == ["exit-1", "exit-2"]
    assert made.run(IDS)["logits"][:, 0].tolist() == (TOKENS * (START + 11100)).tolist()
    for name, added in (("exit-1", 100), ("exit-2", 1100)):
        assert made.exits[name].run(IDS)["logits"][:, 0].tolist() == (TOKENS * (START + added)).tolist()
        assert not made.exits[name].exits


def test_an_exit_tells_its_state_a_token_each_and_the_whole_none() -> None:
    told = chain().exits["exit-2"].run(IDS)
    state = told["state-2"]
    assert isinstance(state, Ragged)
    assert list(told) == ["logits", "state-2"]
    assert state.values.shape == (TOKENS.sum(), 1)
    assert [state[i].tolist() for i in (0, 2)] == [[[1110]] * 3, [[1109]]]
    assert list(chain().run(IDS)) == ["logits"]


@pytest.mark.parametrize(("held", "ran"), [((1,), [0, 1, 1]), ((2,), [0, 0, 1]), ((1, 2), [0, 0, 1]), ((), [1, 1, 1])])
def test_only_what_lies_behind_the_deepest_state_is_computed(held: tuple[int, ...], ran: list[int]) -> None:
    which = np.array([5, 0, 3])
    batch = take({**IDS, **{f"state-{d}": chain().exits[f"exit-{d}"].run(IDS)[f"state-{d}"] for d in held}}, which)
    made = chain()
    assert made.run(batch)["logits"][:, 0].tolist() == (TOKENS * (START + 11100))[which].tolist()
    assert [segment.runs for segment in made.segments if isinstance(segment, Adds)] == ran


def test_an_exit_passes_over_its_own_state_and_deeper_ones() -> None:
    deeper = chain().exits["exit-2"].run(IDS)
    assert chain().exits["exit-1"].run({**IDS, "state-2": deeper["state-2"]})["logits"][:, 0].tolist() == (TOKENS * (START + 100)).tolist()


def test_no_rows_have_an_empty_state_that_can_be_gone_on_with() -> None:
    none = take(IDS, np.zeros(0, np.int64))
    told = chain().exits["exit-1"].run(none)
    assert np.asarray(told["logits"]).shape == (0, 1)
    assert np.asarray(chain().run({**none, "state-1": told["state-1"]})["logits"]).shape == (0, 1)


def test_steps_are_means_over_tokens_and_the_heads_on_the_way_are_left_out() -> None:
    steps = dict(chain().layers(IDS))
    assert list(steps) == ["layer 1", "layer 2", "layer 3", "head"]
    assert steps["layer 2"][:, 0].tolist() == (START + 1100).tolist()
    assert steps["head"][:, 0].tolist() == (TOKENS * (START + 11100)).tolist()
    assert list(dict(chain().exits["exit-1"].layers(IDS))) == ["layer 1", "head"]
