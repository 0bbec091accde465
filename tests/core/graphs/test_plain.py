"""Plain graphs in numpy: what is taken from a batch, in which blocks, and what is said of it on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.core.files import write_json
from penjing.core.graphs.plain import Form, Plain, is_plain
from penjing.core.types import Batch, NDArray, Spec

FORM = Form({"x": ("float32", (3,)), "c": ("int32", (2,))}, "logits", Spec(1, "identity"), 100, ("sum", "head"))


class Sums:
    """Adds up what a row holds; remembers how many rows came at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def run(self, arrays: Mapping[str, NDArray]) -> NDArray:
        assert list(arrays) == ["x", "c"]
        assert [array.dtype for array in arrays.values()] == [np.float32, np.int32]
        self.asked.append(len(arrays["x"]))
        return (arrays["x"].sum(1) + arrays["c"].sum(1))[:, None]

    def steps(self, arrays: Mapping[str, NDArray]) -> Sequence[NDArray]:
        return [np.stack([arrays["x"], arrays["x"]], axis=1), self.run(arrays)]


def batch(count: int) -> Batch:
    random = np.random.default_rng(0)
    return {
        "c": random.integers(0, 9, (count, 2)).astype(np.int32),
        "x": random.normal(size=(count, 3)).astype(np.float32),
        "more": np.zeros((count, 7)),
    }


def test_every_row_comes_back_in_its_place_however_many_go_at_once() -> None:
    rows = batch(11)
    expected = np.asarray(rows["x"]).sum(1) + np.asarray(rows["c"]).sum(1)
    for multiplied, asked in ((100, [11]), (10**9, [4, 4, 3]), (10**12, [1] * 11)):
        graph = Sums()
        assert Plain(replace(FORM, multiplied=multiplied), graph).run(rows)["logits"][:, 0].tolist() == pytest.approx(expected.tolist())
        assert graph.asked == asked


def test_no_rows_are_answered() -> None:
    assert np.asarray(Plain(FORM, Sums()).run(batch(0))["logits"]).shape == (0, 1)


def test_work_grows_with_the_rows() -> None:
    assert Plain(FORM, Sums()).work(batch(11)) == 1100


def test_steps_are_laid_flat_and_end_with_the_answer() -> None:
    engine = Plain(replace(FORM, multiplied=10**9), Sums())
    steps = dict(engine.layers(batch(11)))
    assert {name: values.shape for name, values in steps.items()} == {"sum": (11, 6), "head": (11, 1)}
    assert np.array_equal(steps["head"], engine.run(batch(11))["logits"])


@pytest.mark.parametrize("wrong", [{"x": np.zeros((4, 3))}, {"x": np.zeros((4, 2)), "c": np.zeros((4, 2))}, {"input_ids": np.zeros(4)}])
def test_the_batch_of_another_processor_is_refused(wrong: Batch) -> None:
    with pytest.raises(TypeError, match="Expected an array"):
        Plain(FORM, Sums()).run(wrong)


def test_arrays_of_a_mapped_file_are_copied_for_runtimes_that_want_to_own_them(tmp_path: Path) -> None:
    class Writes(Sums):
        def run(self, arrays: Mapping[str, NDArray]) -> NDArray:
            assert all(array.flags.writeable and array.flags.c_contiguous for array in arrays.values())
            return super().run(arrays)

    rows = {name: np.asarray(array) for name, array in batch(5).items()}
    rows["x"].flags.writeable = False
    Plain(FORM, Writes()).run({**rows})


def test_what_is_said_on_disk_is_read_again(tmp_path: Path) -> None:
    form = replace(FORM, net="tabular:Mlp", config={"width": 3})
    form.write(tmp_path, net=True)
    assert Form.read(tmp_path) == form
    assert is_plain(tmp_path)
    form.write(tmp_path)
    assert Form.read(tmp_path) == FORM
    assert {name: (array.shape, str(array.dtype)) for name, array in form.example.items() if isinstance(array, np.ndarray)} == {
        "x": ((2, 3), "float32"),
        "c": ((2, 2), "int32"),
    }


@pytest.mark.parametrize("told", [{}, [], {"inputs": {"x": ["no such type", [3]]}, "outputs": {"y": {"width": 1, "link": "identity"}}}])
def test_what_describes_no_graph_is_refused_in_a_sentence(tmp_path: Path, told: object) -> None:
    write_json(tmp_path / "engine.json", told)
    with pytest.raises(RunFailed, match="does not describe an engine"):
        Form.read(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert not is_plain(tmp_path)
    with pytest.raises(RunFailed, match=r"engine\.json is missing"):
        Form.read(tmp_path)
    FORM.write(tmp_path)
    with pytest.raises(RunFailed, match=r"model\.xml is missing"):
        Form.read(tmp_path, "model.xml")
