from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from penjing import Penjing
from penjing.core.errors import BadRequest, DataError

LINEAR = ["linear"]


def frame(count: int = 60) -> pd.DataFrame:
    good, bad = "works well and I feel better", "terrible pain, it made me sick"
    texts = [f"{good if i % 2 else bad} after {i} days" for i in range(count)]
    return pd.DataFrame({"review": texts, "rating": ["positive" if i % 2 else "negative" for i in range(count)]})


def test_it_learns_from_a_frame_and_answers_a_frame() -> None:
    data = frame()
    model = Penjing(target="rating", tiers=LINEAR).fit(data)
    assert (model.predict(data) == data["rating"]).mean() > 0.95
    assert model.predict_proba(data).shape == (60, 2)
    np.testing.assert_allclose(model.predict_proba(data).sum(axis=1), 1)
    assert model.classes_.tolist() == ["negative", "positive"]
    assert model.score(data) > 0.95


def test_texts_and_labels_may_come_apart_and_labels_keep_their_type() -> None:
    data = frame()
    numbers = (data["rating"] == "positive").astype(int) + 3
    model = Penjing(tiers=LINEAR, task="text-classification").fit(data["review"].tolist(), numbers)
    assert set(model.predict(data["review"].tolist())) == {3, 4}
    assert model.score(data["review"].tolist(), numbers) > 0.95


def test_it_works_inside_scikit_learns_tools() -> None:
    data = frame()
    model = Penjing(tiers=LINEAR)
    assert clone(model).get_params() == model.get_params()
    assert is_classifier(model)
    assert cross_val_score(model, data[["review"]], data["rating"], cv=3).mean() > 0.9
    lower = FunctionTransformer(lambda X: X.assign(review=X["review"].str.lower()))
    pipeline = Pipeline([("lower", lower), ("model", model)]).fit(data[["review"]], data["rating"])
    assert (pipeline.predict(data[["review"]]) == data["rating"]).mean() > 0.9
    search = GridSearchCV(model, {"seed": [0, 1]}, cv=2).fit(data[["review"]], data["rating"])
    assert search.best_score_ > 0.9


def test_numbers_are_predicted_as_numbers_and_scored_by_r2() -> None:
    texts = ["cheap " * (i % 10) + "thing" for i in range(80)]
    values = [1.5 * (i % 10) + 0.25 for i in range(80)]
    model = Penjing(task="text-regression", tiers=LINEAR).fit(texts, values)
    assert model.predict(texts).dtype == float
    assert model.score(texts, values) > 0.5


def test_several_labels_come_back_as_lists() -> None:
    rows = [
        {"text": f"{'red ' * (i % 2)}{'blue ' * (i % 3 == 0)}paint {i}", "colours": ["red"] * (i % 2) + ["blue"] * (i % 3 == 0)} for i in range(90)
    ]
    model = Penjing(target="colours", tiers=LINEAR).fit(rows)
    answers = model.predict(rows)
    assert sum(set(a) == set(r["colours"]) for a, r in zip(answers, rows, strict=True)) > 70


def test_mistakes_are_told_plainly() -> None:
    with pytest.raises(NotFittedError):
        Penjing(target="rating").predict(frame())
    with pytest.raises(BadRequest, match="What is to be predicted"):
        Penjing(tiers=LINEAR).fit(frame())
    with pytest.raises(DataError, match="no column 'ratign'"):
        Penjing(target="ratign").fit(frame())
    with pytest.raises(DataError, match="60 rows and y has 3"):
        Penjing(tiers=LINEAR).fit(frame()[["review"]], [1, 2, 3])
    model = Penjing(target="rating", tiers=LINEAR).fit(frame())
    with pytest.raises(DataError, match="no column 'review'"):
        model.predict(pd.DataFrame({"text": ["x"]}))


def test_a_run_of_its_own_is_kept_where_asked(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "run"
    Penjing(target="rating", tiers=LINEAR, folder=str(folder)).fit(frame())
    assert (folder / "export" / "linear" / "tier.json").exists()
