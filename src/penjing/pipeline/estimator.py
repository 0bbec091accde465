"""`Penjing(target="rating").fit(frame).predict(frame)`: the pipeline as a scikit-learn estimator.

Knows frames and scikit-learn's conventions; everything else is the stages' work, the same as on the command line.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penjing.core import plugins
from penjing.core.cascade import Predictors
from penjing.core.errors import BadRequest, DataError
from penjing.core.files import read_json
from penjing.core.one_number import OneNumber
from penjing.core.tasks import TaskConfig
from penjing.core.types import NDArray, Row
from penjing.pipeline.config import read_config
from penjing.pipeline.run import run
from penjing.pipeline.start import signer

try:
    from sklearn.base import BaseEstimator
except ModuleNotFoundError as absent:
    raise plugins.missing(absent, "estimator Penjing") from absent

CHUNK = 512
LABEL, TEXT, COLUMN = "target", "text", "column_{}"
"""Names given to what comes without one: y, texts that are not in a frame, and the columns of an array, from 1."""


class Penjing(BaseEstimator):  # type: ignore[misc]
    """Learns from a frame (pandas, polars, pyarrow, an array of numbers, a list of mappings or of texts) and answers for frames like it.

    target: column to predict; where it is None, `fit(X, y)` gives it apart. columns, task, tiers, seed: as in penjing.yaml, where None is
    found out. validation: share of the rows kept to choose the tier by. folder: where the run is kept; a temporary one where None.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        columns: list[str] | None = None,
        task: str | dict[str, Any] | None = None,
        tiers: list[Any] | None = None,
        validation: float = 0.15,
        seed: int = 0,
        folder: str | None = None,
    ) -> None:
        self.target = target
        self.columns = columns
        self.task = task
        self.tiers = tiers
        self.validation = validation
        self.seed = seed
        self.folder = folder

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn every tier and the cascade of them. Raises BadRequest with what to change."""
        target = self.target if y is None else (self.target or LABEL)
        if target is None:
            raise BadRequest("What is to be predicted? Name a column with Penjing(target=…), or give fit(X, y).")
        table = _table(X) if y is None else _with(_table(X), target, y)
        if target not in table.column_names:
            raise DataError(f"The frame has no column {target!r}. There is: {', '.join(table.column_names)}.")
        folder = self._place()
        pq.write_table(table, folder / "frame.parquet")
        config = read_config(None, (), {"data": self._data(folder, target), "task": self.task, "tiers": self.tiers, "seed": self.seed})
        done = run(config, folder, signer(), until="calibrate")
        exported = done.folders("export")
        self.predictor_ = Predictors.read(done.made["calibrate"].folder / "cascade.json").open(exported)
        self.columns_ = list(done.data.columns)
        self.leaderboard_ = [
            {"tier": tier, **read_json(done.made[f"train/{name}"].folder / "measured" / "training.json"), "validation": scores}
            for name, place in exported.items()
            for tier, scores in read_json(place / "measured" / "validation.json").items()
        ]
        if labels := getattr(self.predictor_.task, "labels", None):
            given = {str(value): value for value in table.column(target).to_pylist() if not isinstance(value, list)}
            self._given = given
            self.classes_ = np.array([given.get(label, label) for label in labels])
        return self

    def predict(self, X: Any) -> NDArray:
        """Return (B,) labels as they were given, (B,) numbers, or (B,) lists of labels."""
        answers = [p for rows in self._rows(X) for p in self.predictor_.predict(rows)]
        if answers and "labels" in answers[0]:
            lists = np.empty(len(answers), object)
            lists[:] = [answer["labels"] for answer in answers]
            return lists
        if answers and "value" in answers[0]:
            return np.array([answer["value"] for answer in answers])
        return np.array([self._given.get(answer["label"], answer["label"]) for answer in answers])

    def predict_proba(self, X: Any) -> NDArray:
        """Return (B, C) probabilities in the order of `classes_`."""
        return np.array([list(p["scores"].values()) for rows in self._rows(X) for p in self.predictor_.predict(rows)])

    def score(self, X: Any, y: Any = None) -> float:
        """Return the first measure of the task (accuracy, micro-F1 or R²) on labelled rows."""
        target = self.predictor_.task.target
        table = _table(X) if y is None else _with(_table(X), target, y)
        rows = table.to_pylist()
        return self.predictor_.task.score([p for chunk in self._rows(table) for p in self.predictor_.predict(chunk)], rows)[0].value

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor" if self._numbers else "classifier"
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        if tags.estimator_type == "classifier":
            from sklearn.utils import ClassifierTags

            tags.classifier_tags = ClassifierTags()
        else:
            from sklearn.utils import RegressorTags

            tags.regressor_tags = RegressorTags()
        return tags

    @property
    def _numbers(self) -> bool:
        """Whether the task that was named answers with a number."""
        name = TaskConfig.parse(self.task or {}).name
        return name is not None and issubclass(plugins.load("tasks", name), OneNumber)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def _rows(self, X: Any) -> Iterable[list[Row]]:
        if not hasattr(self, "predictor_"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("This Penjing is not fitted yet. Call fit first.")
        table = _table(X)
        for column in self.columns_:
            if column not in table.column_names:
                raise DataError(f"The frame has no column {column!r}, which the model reads. There is: {', '.join(table.column_names)}.")
        rows = table.select(self.columns_).to_pylist()
        return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]

    def _place(self) -> Path:
        if self.folder is not None:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
            return Path(self.folder)
        folder = Path(tempfile.mkdtemp(prefix="penjing-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _data(self, folder: Path, target: str) -> dict[str, Any]:
        # Nothing is held back to test on: who calls fit keeps test rows of their own.
        data = {"source": str(folder / "frame.parquet"), "target": target, "columns": self.columns, "validation": self.validation}
        return {**data, "test": 0.0}


def _table(X: Any) -> pa.Table:
    """Return `X` as a table. Raises DataError for what is no frame."""
    if isinstance(X, pa.Table):
        return X
    if hasattr(X, "__dataframe__") or hasattr(X, "__arrow_c_stream__"):
        return pa.table(X) if hasattr(X, "__arrow_c_stream__") else pa.Table.from_pandas(X, preserve_index=False)
    if isinstance(X, np.ndarray) and X.ndim == 2 and np.issubdtype(X.dtype, np.number):
        return pa.table({COLUMN.format(i): pa.array(column) for i, column in enumerate(X.T, 1)})
    values = list(X)
    if values and all(isinstance(v, Mapping) for v in values):
        return pa.Table.from_pylist([dict(v) for v in values])
    if values and all(isinstance(v, str) for v in values):
        return pa.table({TEXT: pa.array([str(v) for v in values])})
    if values and all(isinstance(v, Sequence | np.ndarray) and len(v) == 1 and isinstance(v[0], str) for v in values):
        return pa.table({TEXT: pa.array([str(v[0]) for v in values])})
    raise DataError(f"Penjing learns from a frame, an array of numbers, a list of mappings or a list of texts, not from {type(X).__name__}.")


def _with(table: pa.Table, target: str, y: Any) -> pa.Table:
    values = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(values) != table.num_rows:
        raise DataError(f"X has {table.num_rows} rows and y has {len(values)}. They must be as long as each other.")
    kept = table.drop_columns([target]) if target in table.column_names else table
    return kept.append_column(target, pa.array(values))
