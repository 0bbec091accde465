"""The engine, compared with its own description written out row by row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core.errors import RunFailed
from penjing.core.types import Batch, NDArray, take
from penjing.plugins.engines.additive import Additive

RNG = np.random.default_rng(0)
KNOTS = [[-1.0, 0.5, 2.0, 7.0], [10.0, 20.0]]
LEVELS = [[0, 1, 1, 2, 2], [0, 1, 2], [0, 1, 2, 1, 3]]
PAIRS = [(0, 2), (0, 1)]
MODEL = Additive(
    knots=np.concatenate(KNOTS).astype(np.float32),
    counts=np.array([4, 2], np.int32),
    sizes=np.array([5], np.int32),
    levels=np.concatenate(LEVELS).astype(np.int32),
    pairs=np.array(PAIRS, np.int32),
    values=RNG.normal(size=(5 + 3 + 5 + 3 * 4 + 3 * 3, 3)).astype(np.float32),
    bias=np.array([0.5, -1.0, 2.0], np.float32),
    output="logits",
    width=3,
)
NUMBERS = np.array([[-5, 10], [-1, 12.5], [0, 30], [0.5, 20], [6.9, np.nan], [7, 10], [np.inf, -np.inf], [np.nan, np.nan], [3e38, -3e38]], np.float32)
CODES = np.array([[0], [1], [2], [3], [4], [5], [1000], [-7], [2]], np.int32)
BATCH: Batch = {"numbers": NUMBERS, "codes": CODES}


def expected(numbers: NDArray, code: int) -> NDArray:
    total = MODEL.bias.astype(np.float64)
    starts, places = [0, 5, 8, 13, 25], []
    for column, knots in enumerate(KNOTS):
        values = MODEL.values[starts[column] :].astype(np.float64)
        if np.isnan(numbers[column]):
            total, place = total + values[0], 0
        else:
            x = min(max(float(numbers[column]), knots[0]), knots[-1])
            total = total + [np.interp(x, knots, values[1 : 1 + len(knots), k]) for k in range(3)]
            place = 1 + min(sum(x >= knot for knot in knots) - 1, len(knots) - 2)
        places.append(LEVELS[column][place])
    known = code if 0 <= code < 5 else 1
    total = total + MODEL.values[8 + known]
    places.append(LEVELS[2][known])
    heights = [3, 3, 4]
    for start, (a, b) in zip(starts[3:], PAIRS, strict=True):
        total = total + MODEL.values[start + places[a] * heights[b] + places[b]]
    return total


def test_an_answer_is_what_the_description_says() -> None:
    """Float32 sums of six values."""
    wanted = [expected(numbers, int(code)) for numbers, [code] in zip(NUMBERS, CODES, strict=True)]
    np.testing.assert_allclose(MODEL.run(BATCH)["logits"], wanted, rtol=1e-5, atol=1e-5)


def test_an_answer_does_not_depend_on_the_rows_beside_it() -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(NUMBERS), 10_000)
    many = take(BATCH, rows)
    many["numbers"] = np.asarray(many["numbers"]) + rng.normal(size=(10_000, 2)).astype(np.float32)
    whole = MODEL.run(many)["logits"]
    for i in [*range(40), *range(4090, 4100), 9999]:
        assert np.array_equal(MODEL.run(take(many, np.array([i])))["logits"][0], whole[i])


def test_of_two_answers_each_gets_half_a_score() -> None:
    one = replace(MODEL, values=MODEL.values[:, :1].copy(), bias=MODEL.bias[:1], width=2)
    answers = np.asarray(one.run(BATCH)["logits"])
    np.testing.assert_array_equal(answers[:, 1] - answers[:, 0], np.asarray(MODEL.run(BATCH)["logits"])[:, 0])
    np.testing.assert_array_equal(answers[:, 1], -answers[:, 0])


def test_an_answer_never_falls_where_the_values_at_the_knots_do_not() -> None:
    """Held to the last bit, on a grid as fine as float32 allows around the knots, and with values of all sizes beside each other."""
    rng = np.random.default_rng(2)
    knots = np.sort(rng.uniform(-3, 3, 40)).astype(np.float32)
    near = np.concatenate([knots.view(np.int32) + i for i in range(-5, 6)]).view(np.float32)
    grid = np.sort(np.concatenate([near, np.linspace(-4, 4, 2000, dtype=np.float32)]))
    for _ in range(20):
        values = np.concatenate([[0.3], np.sort(rng.choice([-1, 1], 40) * 10 ** rng.uniform(-9, 3, 40))]).astype(np.float32)
        model = Additive(
            knots, np.array([40], np.int32), np.array([3], np.int32), np.zeros(44, np.int32), np.zeros((0, 2), np.int32),
            np.concatenate([values, [0, 0, 0]]).astype(np.float32)[:, None], np.zeros(1, np.float32), "y", 2,
        )  # fmt: skip
        answers = np.asarray(model.run({"numbers": grid[:, None], "codes": np.full((len(grid), 1), 2, np.int32)})["y"])
        assert (np.diff(answers[:, 1]) >= 0).all()
        assert answers[-1, 1] > answers[0, 1]


def test_no_rows_give_no_answers() -> None:
    assert np.asarray(MODEL.run(take(BATCH, np.zeros(0, np.int64)))["logits"]).shape == (0, 3)


def test_a_model_without_columns_answers_with_its_bias(tmp_path: Path) -> None:
    none = np.zeros(0, np.int32)
    Additive(none.astype(np.float32), none, none, none, np.zeros((0, 2), np.int32), np.zeros((0, 3), np.float32), MODEL.bias, "logits", 3).save(
        tmp_path
    )
    batch: Batch = {"numbers": np.zeros((4, 0), np.float32), "codes": np.zeros((4, 0), np.int32)}
    assert np.array_equal(Additive.open(tmp_path).run(batch)["logits"], np.tile(MODEL.bias, (4, 1)))


def test_what_is_saved_opens_as_the_same_model_mapped_into_memory(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    opened = Additive.open(tmp_path)
    assert np.array_equal(opened.run(BATCH)["logits"], MODEL.run(BATCH)["logits"])
    assert isinstance(opened.values.base, np.memmap)
    assert not opened.values.flags.writeable


def test_threads_get_the_same_answers() -> None:
    model = replace(MODEL)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: model.run(BATCH)["logits"], range(32)))
    assert all(np.array_equal(answer, MODEL.run(BATCH)["logits"]) for answer in answers)


def test_its_steps_lead_to_its_answers() -> None:
    steps = dict(MODEL.layers(BATCH))
    assert list(steps) == ["entries", "parts", "sums of columns", "logits"]
    np.testing.assert_array_equal(steps["logits"], MODEL.run(BATCH)["logits"])
    crossed = MODEL.values[steps["entries"][:, 3:]].sum(axis=1)
    np.testing.assert_allclose(steps["sums of columns"] + crossed, steps["logits"], rtol=1e-5, atol=1e-5)


def test_work_grows_with_rows_and_answers() -> None:
    assert MODEL.work(BATCH) == len(NUMBERS) * 7 * 3


@pytest.mark.parametrize(
    "content", [b"", b"\x08\0\0\0\0\0\0\0notjson!", b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 64], ids=range(5)
)
def test_a_file_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "additive.safetensors").write_bytes(content)
    with pytest.raises(RunFailed, match=r"additive\.safetensors"):
        Additive.open(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    path = tmp_path / "additive.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(RunFailed, match=r"additive\.safetensors"):
        Additive.open(tmp_path)


def changed(name: str, change: Callable[[NDArray], Any]) -> Additive:
    array = getattr(MODEL, name).copy()
    result = change(array)
    return replace(MODEL, **{name: array if result is None else result})


@pytest.mark.parametrize(
    "model",
    [
        changed("values", lambda v: v[:-1]),
        changed("bias", lambda b: b[:-1]),
        changed("counts", lambda c: np.array([5, 1], np.int32)),
        changed("sizes", lambda s: s + 1),
        changed("knots", lambda k: k[::-1].copy()),
        changed("knots", lambda k: k * np.float32(np.nan)),
        changed("levels", lambda v: v - 1),
        changed("levels", lambda v: v + 1),
        changed("pairs", lambda p: p + 1),
        changed("pairs", lambda p: p.ravel()),
        replace(MODEL, width=2),
        replace(MODEL, width=4),
    ],
    ids=range(12),
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path, model: Additive) -> None:
    model.save(tmp_path)
    with pytest.raises(RunFailed, match="do not fit together"):
        Additive.open(tmp_path)
