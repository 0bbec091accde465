"""Whether a network that begins from nothing gains from pre-training on texts without labels: 20 Newsgroups, few labels, many texts.

    python examples/data.py newsgroups data
    python benchmarks/pretraining.py data [--labelled 1000] [--seeds 3] [--set pretrain.epochs=10] [--json figures.json]

Both sides are the learner `text-network` with the same options, the same tokenizer, learnt from the labelled texts, the same labelled rows (a
fifth of them held out for validation) and as many epochs over these. One of them learns first to guess tokens (`pretrain.objective`) of all
training texts, whose labels it never sees. Every seed draws other labelled rows and other weights to begin with. A test row's credit is the
share of seeds that answer it right; the interval is a paired bootstrap over test rows, of one seed Bonett and Price's. Seconds are of the
wall, on the machine that is named, and hold for it alone.
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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penjing.core.config import load
from penjing.core.examples import Examples
from penjing.core.machine import Machine
from penjing.core.paired import paired
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import NDArray, Spec
from penjing.plugins.learners.text_network.learner import TextNetwork
from penjing.plugins.learners.text_network.options import Options
from penjing.plugins.processors.subwords import Subwords

SIDES = ("from nothing", "pre-trained")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds newsgroups.csv and newsgroups-test.csv")
    parser.add_argument("--labelled", type=int, default=1000, help="training rows whose labels are seen")
    parser.add_argument("--texts", type=int, help="training texts that are seen at all; all of them where left out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the learner, for both sides")
    parser.add_argument("--json", type=Path, help="also write the figures as one JSON object")
    asked = parser.parse_args()
    csv.field_size_limit(10**9)
    options = load(Options, None, asked.set)
    train, test = (read(asked.folder / name) for name in ("newsgroups.csv", "newsgroups-test.csv"))
    labels = sorted({row["topic"] for row in train})
    runs = [seed_of(seed, train, test, labels, options, asked.labelled, asked.texts) for seed in range(asked.seeds)]
    figures = summed(runs, options)
    figures |= {"rows": {"labelled": asked.labelled, "texts": asked.texts or len(train), "test": len(test)}, "machine": machine()}
    show(figures)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def seed_of(
    seed: int, train: list[dict[str, str]], test: list[dict[str, str]], labels: list[str], options: Options, labelled: int, texts: int | None
) -> dict[str, Any]:
    """Let both sides learn; the order in which they do alternates with the seed."""
    order = np.random.default_rng(seed).permutation(len(train))[:texts]
    chosen = [train[i] for i in order[:labelled]]
    held_out = labelled // 5
    processor = Subwords(**Subwords.options_from(chosen[held_out:], ["text"], options.resolved()))
    learnt, validation = (encoded(processor, rows, labels) for rows in (chosen[held_out:], chosen[:held_out]))
    unlabelled = encoded(processor, [train[i] for i in order[labelled:]], labels)
    judged = encoded(processor, test, labels)
    found = {}
    for side in SIDES if seed % 2 == 0 else reversed(SIDES):
        given = options if side == "pre-trained" else Options.model_validate(options.model_dump() | {"pretrain": {"objective": "none"}})
        found[side] = side_of(given, learnt, validation, unlabelled, judged, processor, labels, seed)
        print(f"seed {seed}, {side}: accuracy {found[side]['credit'].mean():.1%} in {found[side]['seconds']:.0f} s", flush=True)
        for sentence in found[side]["told"]:
            print(f"    {sentence}", flush=True)
    return found


def encoded(processor: Subwords, rows: list[dict[str, str]], labels: list[str]) -> Examples:
    return Examples(processor.encode(rows), np.array([labels.index(row["topic"]) for row in rows], np.int64))


def side_of(
    options: Options,
    examples: Examples,
    validation: Examples,
    unlabelled: Examples,
    test: Examples,
    processor: Subwords,
    labels: list[str],
    seed: int,
) -> dict[str, Any]:
    told = Told()
    learner = TextNetwork.create(options, {"logits": Spec(len(labels), "softmax")})
    with tempfile.TemporaryDirectory() as folder:
        hidden = Examples(unlabelled.inputs, np.zeros(len(unlabelled), np.int64))
        fitting = Fitting(seed, told, Path(folder) / "checkpoints", Path(folder) / "cache", processor.names, hidden)
        started = time.perf_counter()
        learner.fit(examples, validation, fitting)
        seconds = time.perf_counter() - started
    answers: NDArray = np.asarray(learner.run(test.inputs)["logits"]).argmax(axis=1)
    return {"credit": (answers == test.target).astype(np.float64), "seconds": seconds, "told": told.sentences}


class Told(Silent):
    """A Progress that keeps what is worth keeping."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


def summed(runs: list[dict[str, Any]], options: Options) -> dict[str, Any]:
    plain, pretrained = (np.mean([run[side]["credit"] for run in runs], axis=0) for side in SIDES)
    sides = {
        side: {
            "accuracy": [float(run[side]["credit"].mean()) for run in runs],
            "seconds": [round(run[side]["seconds"], 1) for run in runs],
            "told": [run[side]["told"] for run in runs],
        }
        for side in SIDES
    }
    return {"sides": sides, "gained": asdict(paired(pretrained, plain)), "options": options.model_dump(mode="json")}


def show(figures: dict[str, Any]) -> None:
    rows, gained = figures["rows"], figures["gained"]
    print(f"\n{rows['labelled']:,} labelled rows of {rows['texts']:,} texts; {rows['test']:,} test rows")
    for side, told in figures["sides"].items():
        accuracy, seconds = np.mean(told["accuracy"]), np.mean(told["seconds"])
        print(f"{side:>14}: accuracy {accuracy:.1%} ({', '.join(f'{a:.1%}' for a in told['accuracy'])}), {seconds:.0f} s a seed")
    value, low, high = (100 * gained[key] for key in ("value", "low", "high"))
    print(f"pre-training gains {value:+.1f} points (95 %: {low:+.1f} to {high:+.1f}; {gained['method']})")
    print(json.dumps(figures["machine"]))


def machine() -> dict[str, Any]:
    here = Machine.here()
    return {
        "processor": here.processor,
        "cores": here.cores,
        "bf16": here.bf16,
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": sys.platform,
    }


if __name__ == "__main__":
    main()
