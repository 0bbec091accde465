"""The linear tier against scikit-learn's usual answer, side by side in one run: TfidfVectorizer (words and bigrams) with LogisticRegression.

    python benchmarks/linear.py                                                            # 200,000 short synthetic texts, four classes
    python benchmarks/linear.py --train train.csv --test test.csv --text review --target rating [--json figures.json]

Both sides get the same training rows and the same test rows. Ours keeps a tenth of its training rows (at most 5,000) for validation, as a run
does; scikit-learn learns from all. Files are CSV, or TSV by their suffix. Seconds are of the wall, and include reading texts into features.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting, Silent
from penjing.core.statistics import macro_f1, mean_loss
from penjing.core.types import NDArray, Row, Spec, concatenate
from penjing.plugins.learners.linear.learner import Linear
from penjing.plugins.processors.ngrams import Ngrams

CHUNK = 4096
SINGLE = 500
"""Rows asked for one at a time."""

Data = tuple[list[str], NDArray, list[str], NDArray, int]
"""Training texts and labels, test texts and labels, number of classes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, help="CSV or TSV; without it, synthetic texts")
    parser.add_argument("--test", type=Path)
    parser.add_argument("--text", default="text", help="name of the text column")
    parser.add_argument("--target", default="label", help="name of the label column")
    parser.add_argument("--rows", type=int, default=200_000, help="synthetic training rows")
    parser.add_argument("--c", type=float, default=10.0, help="scikit-learn's C; its default of 1 was worse on the drug reviews")
    parser.add_argument("--json", type=Path, help="also write the figures as one JSON object")
    asked = parser.parse_args()
    data = read(asked.train, asked.test, asked.text, asked.target) if asked.train else synthetic(asked.rows)
    figures = {
        "rows": {"train": len(data[0]), "test": len(data[2]), "classes": data[4]},
        "penjing": ours(data),
        "scikit_learn": theirs(data, asked.c),
    }
    figures |= {"machine": machine(), "load_before": os.getloadavg()[0]}
    show(figures)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


def ours(data: Data) -> dict[str, float]:
    train, train_labels, test, test_labels, classes = data
    started = time.perf_counter()
    learner = Linear.create(Linear.Options(), {"logits": Spec(classes, "softmax")})
    options = learner.options
    processor = Ngrams(["text"], options.word_ngrams, options.char_ngrams, options.buckets)
    rows: list[Row] = [{"text": text} for text in train]
    encoded = Examples(concatenate([processor.encode(rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)]), train_labels)
    read_s = time.perf_counter() - started
    order = np.random.default_rng(0).permutation(len(train))
    held_out = min(len(train) // 10, 5000)
    learner.fit(Examples(*encoded.batch(order[held_out:])), Examples(*encoded.batch(order[:held_out])), Fitting(0, Silent(), Path(), Path()))
    seconds = time.perf_counter() - started

    def logits(texts: list[str]) -> NDArray:
        return np.asarray(learner.run(processor.encode([{"text": text} for text in texts]))["logits"])

    return {"features_s": read_s, "seconds": seconds, "bytes": learner.engine.weights.nbytes} | judged(logits, test, test_labels, classes)


def theirs(data: Data, c: float) -> dict[str, float]:
    train, train_labels, test, test_labels, classes = data
    started = time.perf_counter()
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    features = vectorizer.fit_transform(train)
    read_s = time.perf_counter() - started
    model = LogisticRegression(C=c, max_iter=1000).fit(features, train_labels)
    seconds = time.perf_counter() - started

    def logits(texts: list[str]) -> NDArray:
        return np.asarray(model.predict_log_proba(vectorizer.transform(texts)))

    return {"features_s": read_s, "seconds": seconds, "bytes": model.coef_.nbytes} | judged(logits, test, test_labels, classes)


def judged(logits: Callable[[list[str]], NDArray], test: list[str], labels: NDArray, classes: int) -> dict[str, float]:
    started = time.perf_counter()
    said = np.concatenate([logits(test[i : i + CHUNK]) for i in range(0, len(test), CHUNK)])
    rows_per_s = len(test) / (time.perf_counter() - started)
    took = []
    for text in (test * SINGLE)[:SINGLE]:
        started = time.perf_counter()
        logits([text])
        took.append((time.perf_counter() - started) * 1000)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, said.argmax(1)), 1)
    p50, p95 = np.percentile(took, [50, 95])
    quality = {
        "accuracy": float((said.argmax(1) == labels).mean()),
        "macro_f1": float(macro_f1(confusion)),
        "log_loss": mean_loss(said, labels, "softmax"),
    }
    return quality | {"rows_per_s": rows_per_s, "single_row_p50_ms": float(p50), "single_row_p95_ms": float(p95)}


def read(train: Path, test: Path | None, text: str, target: str) -> Data:
    """Without a test file every fifth row is one."""
    csv.field_size_limit(1 << 30)

    def rows(path: Path) -> list[tuple[str, str]]:
        with path.open(newline="", encoding="utf-8") as file:
            return [(row[text], row[target]) for row in csv.DictReader(file, delimiter="\t" if path.suffix in (".tsv", ".tab") else ",")]

    learn = rows(train)
    judge = rows(test) if test else learn[::5]
    learn = learn if test else [row for i, row in enumerate(learn) if i % 5]
    labels = {label: i for i, label in enumerate(sorted({label for _, label in learn}))}
    judge = [row for row in judge if row[1] in labels]
    numbers = [np.array([labels[label] for _, label in part]) for part in (learn, judge)]
    return [t for t, _ in learn], numbers[0], [t for t, _ in judge], numbers[1], len(labels)


def synthetic(count: int) -> Data:
    """Texts of about 120 characters: words by Zipf's law, one in twelve from the class's own order of the same 50,000 words."""
    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlu"))
    words = np.array(["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(50_000)])
    orders = [np.arange(len(words)), *(rng.permutation(len(words)) for _ in range(4))]
    labels = rng.integers(0, 4, count + count // 10)
    ranks = np.minimum(rng.zipf(1.2, (len(labels), 18)) - 1, len(words) - 1)
    own = rng.random(ranks.shape) < 1 / 12
    chosen = np.where(own, np.stack(orders)[labels[:, None] + 1, ranks], ranks)
    texts = [" ".join(row) for row in words[chosen]]
    return texts[:count], labels[:count], texts[count:], labels[count:], 4


def machine() -> dict[str, Any]:
    here = Machine.here()
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
    return {"processor": here.processor, "cores": here.cores, **versions}


def show(figures: dict[str, Any]) -> None:
    a, b = figures["penjing"], figures["scikit_learn"]
    print(figures["rows"])
    print(f"{'':20}{'penjing':>14}{'scikit-learn':>14}{'ratio':>9}")
    for name in a:
        print(f"{name:20}{a[name]:14.4g}{b[name]:14.4g}{a[name] / b[name]:9.3g}")
    print(figures["machine"], f"load {figures['load_before']:.1f}", file=sys.stdout)


if __name__ == "__main__":
    main()
