"""Whether searching for settings, bagging, boosting, stacking and soups pay: each beside the learner that it is made of, on the same rows.

    python examples/data.py adult FOLDER; python examples/data.py newsgroups FOLDER
    python benchmarks/ensembles.py FOLDER [--part adult newsgroups tuned] [--json figures.json]

adult: boosted trees on Adult income; stacked with the linear tier for tables.
newsgroups: the linear tier on 20 Newsgroups; stacked with itself at other settings, since members share how rows are read.
tuned: a pretrained encoder, tuned on a part of 20 Newsgroups with short texts: soups, and a bag of as many members.

A seventh of the training file are validation rows, for all alike: settings, members and the scale of the logits are chosen by them. Accuracy and log
loss are of the test file, differences to the single learner are paired, with intervals of 95 %. A sentence says of each whether its interval lies on
one side of zero; nothing is corrected for how many are looked at.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.learning.inner import Inner
from penjing.core.machine import Machine
from penjing.core.paired import paired
from penjing.core.protocols import Fitting, HasNames, Silent
from penjing.core.statistics import probabilities
from penjing.core.types import NDArray, Row
from penjing.training.losses import scaled

TREES: dict[str, Any] = {"learner": "boosted-trees"}
TINY = 1e-7
"""Least probability that log loss is reckoned with."""
LIBRARIES = ("lightgbm", "numpy", "optuna", "scipy", "torch", "transformers")


class Told(Silent):
    def say(self, sentence: str) -> None:
        print(f"    {sentence}", flush=True)


@dataclass(frozen=True)
class Data:
    task: Any
    train: Examples
    validation: Examples
    test: Examples
    names: Mapping[str, Sequence[str]]


def main() -> None:
    asked = arguments()
    found: dict[str, Any] = {"asked": {k: str(v) if isinstance(v, Path) else v for k, v in vars(asked).items()}, "machine": machine()}
    print(found["machine"], f"load {os.getloadavg()[0]:.1f}", flush=True)
    for part in asked.part:
        print(f"\n== {part}", flush=True)
        data, ways = {"adult": adult, "newsgroups": newsgroups, "tuned": tuned}[part](asked)
        print(f"rows: {len(data.train)} to learn from, {len(data.validation)} to choose by, {len(data.test)} to test on", flush=True)
        found[part] = compared(data, ways, asked.seed)
        if asked.json:
            asked.json.write_text(json.dumps(found, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that examples/data.py has written adult and newsgroups into")
    parser.add_argument("--part", nargs="+", choices=["adult", "newsgroups", "tuned"], default=["adult", "newsgroups", "tuned"])
    parser.add_argument("--rows", type=int, help="training rows of adult and newsgroups drawn, to try it out; all where not given")
    parser.add_argument("--test-rows", type=int, help="test rows drawn; all where not given")
    parser.add_argument("--tuned-rows", type=int, default=1200, help="training rows of tuned")
    parser.add_argument("--trials", type=int, default=20, help="of the search of adult; the others have half of them")
    parser.add_argument("--members", type=int, default=5, help="of a bag and of boosting; soups have 3")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="of tuned")
    parser.add_argument("--tokens", type=int, default=64, help="of a text of tuned")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures as one JSON object")
    return parser.parse_args()


Ways = dict[str, dict[str, Any]]
"""By name: learner and options, the single one first."""


def adult(asked: argparse.Namespace) -> tuple[Data, Ways]:
    ways = {
        "single": TREES,
        "search": {"learner": "search", "of": TREES, "trials": asked.trials},
        **ensembles([TREES], asked.members),
        "stacking": {"learner": "ensemble", "how": "stacking", "of": [TREES, {"learner": "tabular-linear"}], "folds": 3},
    }
    return read(asked, "adult", "income", "tabular-classification", Inner.parse(TREES), asked.rows), ways


def newsgroups(asked: argparse.Namespace) -> tuple[Data, Ways]:
    linear = {"learner": "linear"}
    others = [{**linear, "l2": 1e-6}, {**linear, "l2": 1e-4, "epochs": 10}]
    ways = {
        "single": linear,
        "search": {"learner": "search", "of": linear, "trials": max(1, asked.trials // 2)},
        **ensembles([linear], asked.members),
        "stacking": {"learner": "ensemble", "how": "stacking", "of": [linear, *others], "folds": 3},
    }
    return read(asked, "newsgroups", "topic", "text-classification", Inner.parse(linear), asked.rows), ways


def tuned(asked: argparse.Namespace) -> tuple[Data, Ways]:
    encoder = {"learner": "transformer", "model": asked.model, "tune": "full", "max_tokens": asked.tokens, "epochs": 2, "runtime": "torch-runtime"}
    rates = [{**encoder, "learning_rate": rate} for rate in (1e-4, 2e-4, 5e-5)]
    ways = {
        "single": encoder,
        "soup, mean of all": {"learner": "ensemble", "how": "soup", "of": [encoder], "members": 3, "greedy": False},
        "soup, greedy, three rates": {"learner": "ensemble", "how": "soup", "of": rates, "members": 3},
        "bagging": {"learner": "ensemble", "how": "bagging", "of": [encoder], "members": 3},
    }
    return read(asked, "newsgroups", "topic", "text-classification", Inner.parse(encoder), asked.tuned_rows), ways


def ensembles(of: list[dict[str, Any]], members: int) -> Ways:
    return {how: {"learner": "ensemble", "how": how, "of": of, "members": members} for how in ("bagging", "boosting")}


def read(asked: argparse.Namespace, name: str, target: str, task: str, first: Inner, count: int | None) -> Data:
    """Encode the files once, as all ways of a part read them."""
    learn, test = (drawn(asked, f"{name}{end}.csv", rows) for end, rows in (("", count), ("-test", asked.test_rows)))
    columns = [column for column in learn[0] if column != target]
    kind = plugins.load("tasks", task)
    judged = kind(**kind.options_from(learn, target, columns))
    apart = len(learn) // 7
    reader = plugins.load("processors", first.processor)
    processor = reader(**reader.options_from(learn[apart:], columns, first.options.resolved()))
    encoded = [Examples(processor.encode(rows), judged.target_of(rows)) for rows in (learn[apart:], learn[:apart], test)]
    return Data(judged, *encoded, names=processor.names if isinstance(processor, HasNames) else {})


def drawn(asked: argparse.Namespace, file: str, count: int | None) -> list[Row]:
    """Return `count` rows in random order; all where it is None."""
    csv.field_size_limit(sys.maxsize)
    with (asked.data / file).open(newline="", encoding="utf-8") as opened:
        rows: list[Row] = list(csv.DictReader(opened))
    return [rows[i] for i in np.random.default_rng(asked.seed).permutation(len(rows))[:count]]


def compared(data: Data, ways: Ways, seed: int) -> dict[str, Any]:
    """Learn in every way, and print and return how it did beside the first."""
    found: dict[str, Any] = {}
    said: dict[str, NDArray] = {}
    truth = np.asarray(data.test.target)
    for name, way in ways.items():
        started = time.perf_counter()
        learner = learnt(data, Inner.parse(way), seed)
        seconds = time.perf_counter() - started
        said[name] = answers(data, learner)
        right, likelihood = credits(said[name], truth)
        figures = {"accuracy": float(right.mean()), "log_loss": -float(likelihood.mean()), "seconds": seconds, "way": way}
        print(f"  {name:28} accuracy {right.mean():.4f}  log loss {-likelihood.mean():.4f}  {seconds:7.1f} s", flush=True)
        if name != "single":
            ours, theirs = credits(said[name], truth), credits(said["single"], truth)
            gains = {"accuracy": paired(ours[0], theirs[0]), "log_loss": paired(ours[1], theirs[1])}
            figures["gain"] = {key: {"value": one.value, "low": one.low, "high": one.high, "p": one.p} for key, one in gains.items()}
            print(f"    {sentence(name, gains, seconds / found['single']['seconds'])}", flush=True)
        found[name] = figures
    return found


def learnt(data: Data, way: Inner, seed: int) -> Any:
    learner = way.kind.create(way.options, data.task.outputs)
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(data.train, data.validation, Fitting(seed, Told(), Path(folder), Path(folder), data.names))
    return learner


def answers(data: Data, learner: Any) -> NDArray:
    """Return (B, C) probabilities of the test rows, calibrated on the validation rows as a tier is."""
    ((output, spec),) = data.task.outputs.items()
    logits = [ask(learner, rows, output) for rows in (data.validation, data.test)]
    factor, _ = scaled(logits[0], np.zeros(spec.width), np.asarray(data.validation.target), spec.link)
    return probabilities(factor * logits[1], spec.link)


def ask(learner: Any, rows: Examples, output: str) -> NDArray:
    parts = [np.arange(i, min(i + 1024, len(rows))) for i in range(0, len(rows), 1024)]
    return np.concatenate([np.asarray(learner.run(rows.batch(part)[0])[output], np.float64) for part in parts])


def credits(said: NDArray, truth: NDArray) -> tuple[NDArray, NDArray]:  # noqa: A001  # nothing here quits an interpreter
    """Return of each row whether it is right, and the log of the probability of what is true; one model learnt twice is no difference."""
    return (said.argmax(axis=1) == truth).astype(np.float64), np.round(np.log(np.maximum(said[np.arange(len(said)), truth], TINY)), 6)


def sentence(name: str, gains: dict[str, Any], times: float) -> str:
    parts = []
    for measure, one in gains.items():
        factor, unit = (100, "points") if measure == "accuracy" else (1, "nats")
        said = "improves" if one.low > 0 else "harms" if one.high < 0 else "is not proven to change"
        parts.append(f"{said} {measure.replace('_', ' ')} ({factor * one.value:+.3g} {unit}, {factor * one.low:+.3g} to {factor * one.high:+.3g})")
    return f"{name} {' and '.join(parts)}, for {times:.1f} times the time to learn."


def machine() -> dict[str, Any]:
    here = Machine.here()
    return {
        "processor": here.processor,
        "cores": here.cores,
        "bf16": here.bf16,
        "python": platform.python_version(),
        "penjing": version("penjing"),
        **{library: version(library) for library in LIBRARIES},
    }


if __name__ == "__main__":
    main()
