"""Rows of a table become numbers and codes: the same alone and in a batch, learnt from training rows only."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

from penjing.core.errors import DataError
from penjing.core.types import NDArray, Row
from penjing.plugins.processors.columns.processor import Columns

RNG = np.random.default_rng(0)
TEXTS = ["a good day for everyone here", "the rain fell all night long", "no end of it in sight", "好天气 今天没有下雨"]
N = 120
ROWS: list[Row] = [
    {
        "age": str(20 + i % 50) if i % 10 else "",
        "income": f"{1000 * i:,}.5",
        "colour": ["red", "red", "green", "blue", " red"][i % 5] if i % 7 else None,
        "paid": ["yes", "no"][i % 2] if i % 9 else "",
        "joined": f"2026-{i % 12 + 1:02d}-{i % 28 + 1:02d}T{i % 24:02d}:00" if i % 11 else "NA",
        "note": f"{TEXTS[i % 4]} {i}",
        "nothing": "",
    }
    for i in range(N)
]
NAMES = list(ROWS[0])


def learnt(rows: Sequence[Row] = ROWS, columns: Sequence[str] = NAMES, **given: Any) -> Columns:
    return Columns(**Columns.options_from(rows, columns, given))


def of(values: Sequence[Any], name: str = "x", **given: Any) -> Columns:
    """Return a processor that learnt one column."""
    return learnt([{name: v} for v in values], [name], **given)


def numbers(processor: Columns, *values: Any) -> NDArray:
    return np.asarray(processor.encode([{processor.columns[0]: v} for v in values])["numbers"])


def codes(processor: Columns, *values: Any) -> list[int]:
    return np.asarray(processor.encode([{processor.columns[0]: v} for v in values])["codes"])[:, 0].tolist()


@pytest.mark.parametrize("scale", ["none", "z", "min-max", "quantile"])
def test_a_row_has_the_same_bytes_alone_and_in_a_batch(scale: str) -> None:
    processor = learnt(scale=scale)
    whole = processor.encode(ROWS)
    for i, row in enumerate(ROWS):
        for name, alone in processor.encode([row]).items():
            assert np.asarray(alone).tobytes() == np.asarray(whole[name])[i : i + 1].tobytes()


def test_its_fields_are_json_and_make_it_again() -> None:
    processor = learnt(scale="quantile")
    processor.encode(ROWS)
    again = Columns(**json.loads(json.dumps(asdict(processor))))
    assert again == processor
    assert again.encode(ROWS)["numbers"].tobytes() == processor.encode(ROWS)["numbers"].tobytes()


def test_every_column_of_the_arrays_has_a_name_and_an_origin() -> None:
    processor = learnt(text_features=2)
    batch = processor.encode(ROWS)
    assert processor.names["codes"] == ["colour"]
    assert processor.names["numbers"] == [
        *("age", "age is missing", "income", "paid", "paid is missing", "joined (days)", "joined is missing"),
        *(f"joined ({cycle}, {wave})" for cycle in ("month", "weekday", "hour") for wave in ("sine", "cosine")),
        *("note (words 0)", "note (words 1)"),
    ]
    assert processor.origins["numbers"] == [*["age"] * 2, "income", *["paid"] * 2, *["joined"] * 8, *["note"] * 2]
    for array, kind in (("numbers", np.float32), ("codes", np.int32)):
        assert batch[array].shape == (N, len(processor.names[array]))
        assert batch[array].dtype == kind
    assert np.isfinite(batch["numbers"]).all()


def test_both_arrays_are_there_whatever_the_columns() -> None:
    for processor in (of(["1", "2"]), of(["red", "blue"]), of(["", ""])):
        batch = processor.encode([{"x": "1"}, {"x": "2"}])
        assert set(batch) == {"numbers", "codes"}
        assert [len(a) for a in batch.values()] == [2, 2]
    assert of(["1", "2"]).encode([])["numbers"].shape == (0, 1)


def test_categories_are_coded_by_how_often_training_has_them() -> None:
    processor = of(["b", "z", "z", " c", "b", "z", "a", ""])
    assert codes(processor, "z", "b", "a", "c", "c ", "never seen", "", None, "?") == [2, 3, 4, 5, 5, 1, 0, 0, 0]


def test_only_the_commonest_categories_are_told_apart() -> None:
    values = ["a"] * 3 + ["b"] * 2 + ["c"]
    assert codes(of(values, max_categories=2), "a", "b", "c") == [2, 3, 1]
    assert codes(of(values, max_categories=1), "a", "b", "c") == [2, 1, 1]


def test_of_many_categories_one_with_a_single_row_stands_for_the_unseen() -> None:
    values = [f"c{i % 30}" for i in range(60)] + ["rare"]
    assert codes(of(values), "rare") == [1]
    assert codes(of(values), "c29")[0] > 1


def test_ten_thousand_categories_keep_the_thousand_commonest() -> None:
    values = [f"c{min(i % 10_000, i % 500)}" for i in range(20_000)] + [f"d{i // 2}" for i in range(19_000)]
    (described,) = of(values).learnt
    assert len(described["categories"]) == 1000
    assert "c7" in described["categories"]


@pytest.mark.parametrize(
    ("scale", "reference"),
    [("z", StandardScaler()), ("min-max", MinMaxScaler(clip=True)), ("quantile", QuantileTransformer(output_distribution="normal", subsample=None))],
)
@pytest.mark.parametrize("values", [RNG.normal(50, 9, 3000), RNG.exponential(10, 3000), RNG.integers(0, 5, 3000).astype(float), RNG.random(40)])
def test_scaling_is_that_of_scikit_learn(scale: str, reference: Any, values: NDArray) -> None:
    new = np.concatenate([RNG.permutation(values)[:500], np.linspace(values.min() - 5, values.max() + 5, 200)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer rows than quantiles
        expected = reference.fit(values[:, None]).transform(new[:, None])[:, 0]
    # float32 keeps seven digits; a normal score near the ends, where its slope is 1e6, two less.
    np.testing.assert_allclose(numbers(of(list(values), scale=scale), *new)[:, 0], expected, rtol=2e-5, atol=2e-5 if scale == "quantile" else 1e-6)


def test_without_a_scale_numbers_stay_and_a_missing_one_is_nan() -> None:
    processor = of(["1", "", "4"], scale="none")
    assert processor.names["numbers"] == ["x"]
    assert np.array_equal(numbers(processor, "1,000", "", "abc", 2)[:, 0], [1000, np.nan, np.nan, 2], equal_nan=True)


@pytest.mark.parametrize(("scale", "image"), [("z", 0.0), ("min-max", 0.5), ("quantile", 0.0)])
def test_a_missing_number_is_the_image_of_the_mean_and_told(scale: str, image: float) -> None:
    processor = of(["1", "2", "3", ""], scale=scale)
    assert processor.names["numbers"] == ["x", "x is missing"]
    assert numbers(processor, "", "2").tolist() == [[pytest.approx(image, abs=1e-6), 1], [pytest.approx(image, abs=1e-6), 0]]


def test_a_number_that_is_missing_at_serving_only_is_the_mean() -> None:
    processor = of(["1", "2", "3"])
    assert numbers(processor, None, "abc", float("inf"), 2).tolist() == [[0]] * 4


def test_numbers_beyond_float32_do_no_harm() -> None:
    for scale in ("none", "z", "min-max", "quantile"):
        processor = of(["1", "2", "1e308", "3", "1e-320", 10**400], scale=scale)
        found = numbers(processor, "1e38", "-1e308", "1e-320", 3)
        assert not np.isinf(found).any()


def test_a_constant_number_is_scaled_without_dividing_by_nothing() -> None:
    for scale in ("z", "min-max", "quantile"):
        assert np.isfinite(numbers(of(["5", "5"], scale=scale), "5", "6", "")).all()


def test_the_spelling_of_training_is_kept_at_serving() -> None:
    processor = of(["1.234,5", "2.000,25"], scale="none")
    assert numbers(processor, "1.234", "7,5", 3.25).tolist() == [[1234], [7.5], [3.25]]


def test_booleans_are_one_and_zero_at_any_scale() -> None:
    for scale in ("none", "z", "min-max", "quantile"):
        assert numbers(of(["yes", "no", "no"], scale=scale), "yes", False, "1").tolist() == [[1], [0], [1]]
    assert numbers(of(["yes", "no", ""]), "", "yes").tolist() == [[0.5, 1], [1, 0]]


def test_dates_are_days_and_places_in_year_week_and_day() -> None:
    processor = of(["1970-01-02 06:00", "1970-01-03 18:00", "1971-07-01 00:00"], scale="none")
    names = processor.names["numbers"]
    (found,) = numbers(processor, "1970-04-01T06:30:00Z")
    expected = {"x (days)": 90 + 6.5 / 24, "x (month, sine)": 1, "x (month, cosine)": 0, "x (hour, sine)": 1, "x (hour, cosine)": 0}
    assert {name: pytest.approx(value, abs=1e-5) for name, value in expected.items()}.items() <= dict(zip(names, found, strict=True)).items()
    monday, sunday = numbers(processor, "1970-01-05", "1970-01-11")
    assert [monday[names.index("x (weekday, sine)")], monday[names.index("x (weekday, cosine)")]] == [0, 1]
    assert sunday[names.index("x (weekday, sine)")] == pytest.approx(np.sin(2 * np.pi * 6 / 7), abs=1e-6)


def test_dates_without_times_have_no_hours_and_missing_ones_no_place() -> None:
    values = ["2026-01-02", "2026-02-03", ""]
    assert not [name for name in of(values).names["numbers"] if "hour" in name]
    (missing,) = numbers(of(values), "")
    assert missing.tolist() == [0, 1, 0, 0, 0, 0]
    assert np.isnan(numbers(of(values, scale="none"), "")).all()


def test_free_text_is_hashed_words_of_length_one() -> None:
    processor = of([*TEXTS, "another one of these short texts"])
    found = numbers(processor, "Rain, rain and SUN", "sun and rain rain", "wind", "", None)
    assert found.shape == (5, 64)
    assert np.array_equal(found[0], found[1])
    assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 1, 1, 0, 0])
    assert not np.array_equal(found[0], found[2])
    rain, *others = sorted(np.abs(found[0][found[0] != 0]), reverse=True)
    assert [rain / other for other in others] == pytest.approx([np.log(3) / np.log(2)] * 2)


def test_text_features_is_how_many_numbers_a_text_becomes() -> None:
    assert [numbers(of(TEXTS, text_features=n), "some words").shape[1] for n in (0, 8, 256)] == [0, 8, 256]


def test_words_in_one_bucket_cancel_as_often_as_they_add() -> None:
    words = [f"word{i}" for i in range(2000)]
    signs = np.sign(numbers(of(TEXTS, text_features=1), *words)[:, 0])
    # Three standard deviations of a fair coin.
    assert abs(signs.mean()) < 3 / np.sqrt(2000)


def test_a_row_without_a_column_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"Row 2 has no column 'age'; it has 'colour'\. Give each row 'age', 'colour'"):
        learnt(columns=["age", "colour"]).encode([{"age": 1, "colour": "red"}, {"colour": "red"}])


def test_files_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"'photo' holds files.*--set data\.exclude=\[photo\]"):
        learnt([{"photo": Path("a.png")}, {"photo": Path("b.png")}], ["photo"])


def test_training_rows_may_lack_columns() -> None:
    processor = learnt([{"x": "1"}, {}, {"x": "3"}], ["x"])
    assert processor.names["numbers"] == ["x", "x is missing"]


def test_a_row_out_of_json_is_that_of_the_file() -> None:
    processor = learnt(columns=["age", "income", "colour", "paid", "joined"])
    file = {"age": "31", "income": "1,000.5", "colour": "red", "paid": "yes", "joined": "2026-03-04"}
    sent = {"age": 31.0, "income": 1000.5, "colour": "red", "paid": True, "joined": "2026-03-04T00:00:00Z"}
    for ours, theirs in zip(processor.encode([file]).values(), processor.encode([sent]).values(), strict=True):
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


def test_the_same_rows_give_the_same_fields_and_others_do_not_matter() -> None:
    assert learnt() == learnt()
    assert learnt(columns=["age"]).learnt == [one for one in learnt().learnt if one["name"] == "age"]
