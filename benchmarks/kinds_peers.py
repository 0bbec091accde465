"""What others would do with the same table: LightGBM, scikit-learn, and AutoGluon in an environment of its own.

Knows nothing of Penjing. Each returns (B, C) probabilities of the test rows, columns in the order of the sorted labels, and its figures: `seconds`
spent learning, the search for settings included, and `rows_per_s` when it answers.

Those that search draw settings at random from the ranges that their documentation and tuning guides name, judge them by log loss on a fifth of
the training rows, and stop when what is left is needed to learn once more, with the best settings, from all rows.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import sklearn.base
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Answers = tuple[np.ndarray, dict[str, Any]]
Settings = dict[str, Any]
Draw = Callable[[np.random.Generator], Settings]
Make = Callable[[Settings], Any]

BATCH = 64


def tables(learn: Path, judge: Path, target: str) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Return training rows, the numbers of their sorted labels, and test rows; "?" is read as missing, words as categories of what training holds."""
    train, test = (pd.read_csv(path, na_values="?") for path in (learn, judge))
    labels, train, test = train[target].astype("category").cat.codes, train.drop(columns=target), test.drop(columns=target)
    for name in train.columns:
        if not pd.api.types.is_numeric_dtype(train[name]):
            train[name] = train[name].astype("category")
            test[name] = pd.Categorical(test[name], train[name].cat.categories)
    return train, labels, test


def lightgbm_(train: pd.DataFrame, labels: pd.Series, test: pd.DataFrame, seconds: float, seed: int) -> Answers:
    """Tune what LightGBM's page "Parameters Tuning" names; the number of trees comes from early stopping."""

    def draw(rng: np.random.Generator) -> Settings:
        return {
            "num_leaves": int(rng.integers(8, 128)),
            "learning_rate": float(np.exp(rng.uniform(np.log(0.02), np.log(0.2)))),
            "min_child_samples": int(rng.integers(5, 100)),
            "colsample_bytree": float(rng.uniform(0.4, 1)),
            "subsample": float(rng.uniform(0.5, 1)),
            "subsample_freq": 1,
            "reg_lambda": float(np.exp(rng.uniform(np.log(1e-3), np.log(30)))),
            "n_estimators": 2000,
        }

    def make(settings: Settings) -> Any:
        return lightgbm.LGBMClassifier(random_state=seed, verbose=-1, **settings)

    def fit(model: Any, x: pd.DataFrame, y: pd.Series, held_x: pd.DataFrame, held_y: pd.Series) -> Settings:
        stop = [lightgbm.early_stopping(50, verbose=False)]
        model.fit(x, y, eval_X=held_x, eval_y=held_y, callbacks=stop)
        return {"n_estimators": int(model.best_iteration_ or model.n_estimators)}

    return searched(train, labels, test, seconds, seed, draw, make, fit)


def boosting(train: pd.DataFrame, labels: pd.Series, test: pd.DataFrame, seconds: float, seed: int) -> Answers:
    """Tune scikit-learn's histogram gradient boosting; the number of trees comes from its own early stopping."""

    def draw(rng: np.random.Generator) -> Settings:
        return {
            "max_leaf_nodes": int(rng.integers(8, 128)),
            "learning_rate": float(np.exp(rng.uniform(np.log(0.02), np.log(0.3)))),
            "min_samples_leaf": int(rng.integers(5, 100)),
            "max_features": float(rng.uniform(0.4, 1)),
            "l2_regularization": float(np.exp(rng.uniform(np.log(1e-3), np.log(30)))),
            "max_iter": 1000,
            "early_stopping": True,
            "n_iter_no_change": 20,
        }

    def make(settings: Settings) -> Any:
        return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=seed, **settings)

    def fit(model: Any, x: pd.DataFrame, y: pd.Series, *_: Any) -> Settings:
        model.fit(x, y)
        return {"max_iter": int(model.n_iter_), "early_stopping": False}

    return searched(train, labels, test, seconds, seed, draw, make, fit)


def logistic(train: pd.DataFrame, labels: pd.Series, test: pd.DataFrame, seconds: float, seed: int) -> Answers:
    """Tune C of LogisticRegression on scaled numbers and one column a category."""
    numbers, words = make_column_selector(dtype_include="number"), make_column_selector(dtype_include="category")

    def draw(rng: np.random.Generator) -> Settings:
        return {"C": float(np.exp(rng.uniform(np.log(1e-2), np.log(1e2))))}

    def make(settings: Settings) -> Any:
        columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore", min_frequency=5), words))
        return make_pipeline(columns, LogisticRegression(max_iter=2000, **settings))

    def fit(model: Any, x: pd.DataFrame, y: pd.Series, *_: Any) -> Settings:
        model.fit(x, y)
        return {}

    return searched(train, labels, test, seconds, seed, draw, make, fit, most=20)


def searched(
    train: pd.DataFrame,
    labels: pd.Series,
    test: pd.DataFrame,
    seconds: float,
    seed: int,
    draw: Draw,
    make: Make,
    fit: Callable[..., Settings],
    most: int = 10_000,
) -> Answers:
    """Search for at most `most` tries or until the time is over but for one last fit, then learn from all rows with the best settings.

    fit: learns, may look at the held-out rows, and returns settings that it found and that the last fit is to have.
    """
    started, rng = time.perf_counter(), np.random.default_rng(seed)
    x, held_x, y, held_y = train_test_split(train, labels, test_size=0.2, random_state=seed, stratify=labels)
    best, least, tries, longest = {}, np.inf, 0, 0.0
    while tries < most and (tries == 0 or time.perf_counter() - started + 2.5 * longest < seconds):
        settings, began = draw(rng), time.perf_counter()
        model = make(settings)
        settings |= fit(model, x, y, held_x, held_y)
        loss = log_loss(held_y, model.predict_proba(held_x))
        longest, tries = max(longest, time.perf_counter() - began), tries + 1
        if loss < least:
            best, least = settings, loss
    model = sklearn.base.clone(make(best)).fit(train, labels)
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in best.items()}
    figures = {"seconds": time.perf_counter() - started, "tries": tries, "best": rounded}
    said, rate = answered(model.predict_proba, test)
    return said, figures | {"rows_per_s": rate}


def answered(ask: Callable[[pd.DataFrame], np.ndarray], test: pd.DataFrame) -> tuple[np.ndarray, float]:
    """Return what is said of all rows, asked in batches, and how many a second."""
    ask(test[:BATCH])
    started = time.perf_counter()
    said = [np.asarray(ask(test[i : i + BATCH])) for i in range(0, len(test), BATCH)]
    return np.concatenate(said), len(test) / (time.perf_counter() - started)


def autogluon(python: Path, learn: Path, judge: Path, target: str, seconds: float, preset: str) -> Answers:
    """Let AutoGluon learn in its own environment, whose interpreter is `python`, from the same file in the same time."""
    with tempfile.TemporaryDirectory() as scratch:
        asked = {"learn": str(learn), "judge": str(judge), "target": target, "seconds": seconds, "preset": preset, "scratch": scratch}
        script = str(Path(__file__).with_name("kinds_autogluon.py"))
        done = subprocess.run([str(python), script, json.dumps(asked)], capture_output=True, text=True, check=False, timeout=20 * seconds + 600)
        if done.returncode:
            raise SystemExit(f"AutoGluon failed:\n{done.stderr[-2000:]}")
        return np.load(Path(scratch) / "said.npy"), json.loads((Path(scratch) / "figures.json").read_text())
