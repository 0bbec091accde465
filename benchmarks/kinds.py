"""Tables and images, beside what else one would use, side by side in one run.

    python examples/data.py adult FOLDER; python examples/data.py fashion FOLDER
    python benchmarks/kinds.py FOLDER [--part adult fashion million] [--autogluon PYTHON] [--json figures.json]

adult: Adult income, all tiers of tables and their cascade. LightGBM and scikit-learn search for the best settings for as many seconds as ours took
to prepare, learn and calibrate, and AutoGluon learns for as many in its own environment (kinds_autogluon.py says how to make it). All are given
the same training file and answer the same test rows.

fashion: Fashion-MNIST, 10,000 images to learn from, all tiers of images and their cascade. A plain torch loop tunes the same backbone at the same
size for as many seconds, in the arithmetic that is quicker here.

million: a run and `penjing predict` on a million rows drawn from Adult, numbers shaken, each in a process of its own whose memory is watched.

Ours sets validation and calibration rows apart; the others learn from all. Accuracy, log loss and area under the curve (two classes) are of test
rows; differences are paired, with intervals of 95 %. What was learnt is kept in WORK: the same command again learns nothing of ours again.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kinds_million
import kinds_peers
import kinds_served
import lightgbm
import numpy as np
import sklearn
import torch
from cascade import Told, in_turns, promised
from PIL import Image
from sklearn.metrics import roc_auc_score

import penjing
from penjing.core.cascade import Cascade, Predictors
from penjing.core.files import digest
from penjing.core.machine import Machine
from penjing.core.paired import paired
from penjing.core.rows import ROW_ID
from penjing.core.tier import Tier
from penjing.core.types import NDArray, Row
from penjing.pipeline.config import read_config
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import make_key, signer
from penjing.stages.calibrate.search import Search
from penjing.stages.gate import Override

SETTINGS = ["accuracy:0.01", "accuracy:0.005", "agreement:0.99"]
BATCH = 1024
TINY = 1e-7
"""Least probability that log loss is reckoned with, as float32 rounds what is nearer to 0."""


@dataclass
class Sides:
    """What all say of the same test rows. B rows, C labels in their sorted order."""

    truth: NDArray
    """(B,) numbers of the labels."""
    said: dict[str, NDArray] = field(default_factory=dict)
    """(B, C) probabilities, by name."""
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, said: NDArray, figures: Mapping[str, Any]) -> None:
        said = np.clip(said / said.sum(axis=1, keepdims=True), TINY, 1)
        right = said.argmax(axis=1) == self.truth
        told = {"accuracy": float(right.mean()), "log_loss": float(-self.likelihood(said).mean())}
        if said.shape[1] == 2:
            told["auc"] = float(roc_auc_score(self.truth, said[:, 1]))
        self.said[name], self.figures[name] = said, told | figures

    def likelihood(self, said: NDArray) -> NDArray:
        likelihood: NDArray = np.log(said[np.arange(len(said)), self.truth])
        return likelihood

    def against(self, ours: str, theirs: str) -> dict[str, Any]:
        """Return how much better `ours` is, with the paired interval: in accuracy, in log loss and in the area under the curve."""
        one, other = self.said[ours], self.said[theirs]
        right = [(said.argmax(axis=1) == self.truth).astype(float) for said in (one, other)]
        found = {"accuracy": _interval(paired(*right)), "log_loss": _interval(paired(self.likelihood(one), self.likelihood(other)))}
        if one.shape[1] == 2:
            found["auc"] = delong(one[:, 1], other[:, 1], self.truth == 1)
        return found


def main() -> None:
    asked, load = arguments(), os.getloadavg()[0]
    make_key(print)
    parts: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"adult": adult, "fashion": fashion, "million": kinds_million.million}
    given = {key: str(value) if isinstance(value, Path) else value for key, value in vars(asked).items()}
    found: dict[str, Any] = {"asked": given, "machine": machine(), "load_before": load}
    print(found["machine"], f"load {load:.1f}", flush=True)
    for name in asked.part:
        print(f"\n== {name}", flush=True)
        found[name] = parts[name](asked)
        if asked.json:
            asked.json.write_text(json.dumps(found, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that examples/data.py has written adult and fashion into")
    parser.add_argument("--part", nargs="+", choices=["adult", "fashion", "million"], default=["adult", "fashion", "million"])
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-kinds"), help="where what was learnt is kept")
    parser.add_argument("--rows", type=int, help="training rows (images, or rows of the million) drawn, to try it out; all where not given")
    parser.add_argument("--test-rows", type=int, help="test rows drawn; all where not given")
    parser.add_argument("--seconds", type=float, help="for the others; as many as ours took where not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", nargs="+", default=["tabular-linear", "boosted-trees", "tabular-network"], help="tiers of adult")
    parser.add_argument("--images", nargs="+", default=["pixel-linear", "frozen", "full"], help="tiers of fashion; frozen and full are backbones")
    parser.add_argument("--size", type=int, default=64, help="side in pixels of the images, ours and the loop's")
    parser.add_argument("--epochs", type=int, help="of our backbone; its own default where not given")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate of the loop")
    parser.add_argument("--autogluon", type=Path, metavar="PYTHON", help="interpreter of the environment that AutoGluon is in")
    parser.add_argument("--autogluon-preset", default="best_quality")
    parser.add_argument("--settings", nargs="*", default=SETTINGS, help="promises to keep: agreement:SHARE, accuracy:MARGIN")
    parser.add_argument("--timed", type=int, default=2048, help="test rows that reference and cascade answer in turns")
    parser.add_argument("--json", type=Path, help="also write the figures as one JSON object")
    return parser.parse_args()


def adult(asked: argparse.Namespace) -> dict[str, Any]:
    learn, test = (drawn(asked, name, rows) for name, rows in (("adult.csv", asked.rows), ("adult-test.csv", asked.test_rows)))
    data = {"source": str(learn), "test": str(test), "target": "income"}
    done, rows, sides, seconds = ours(asked, {"data": data, "tiers": asked.tables, "seed": asked.seed})
    judge = asked.work / f"judge-{done.made['prepare'].model[:12]}.csv"
    with judge.open("w", newline="", encoding="utf-8") as file:  # the test rows in the order in which ours holds them
        writer = csv.DictWriter(file, [name for name in rows[0] if name != ROW_ID], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    given, labels, asks = kinds_peers.tables(learn, judge, "income")
    for name, peer in (("LightGBM", kinds_peers.lightgbm_), ("boosting", kinds_peers.boosting), ("logistic", kinds_peers.logistic)):
        sides.add(name, *peer(given, labels, asks, seconds, asked.seed))
    if asked.autogluon:
        sides.add("AutoGluon", *kinds_peers.autogluon(asked.autogluon, learn, judge, "income", seconds, asked.autogluon_preset))
    return told(asked, done, rows, sides, seconds)


def fashion(asked: argparse.Namespace) -> dict[str, Any]:
    import kinds_loop

    folder = drawn_images(asked)
    backbone = {"learner": "backbone", "model": "efficientnet-lite0", "size": asked.size}
    full = {**backbone, "tune": "full", **({"epochs": asked.epochs} if asked.epochs else {})}
    known: dict[str, Any] = {"frozen": {**backbone, "tune": "frozen"}, "full": full}
    tiers = [known.get(name, name) for name in asked.images]
    done, rows, sides, seconds = ours(asked, {"data": {"source": str(folder), "target": "label"}, "tiers": tiers, "seed": asked.seed})
    labels = done.data.task.labels  # type: ignore[attr-defined]
    paths = sorted((folder / "train").glob("*/*.png"))
    images, test = np.stack([pixels(path.read_bytes()) for path in paths]), np.stack([pixels(row["image"]) for row in rows])
    numbers = np.array([labels.index(path.parent.name) for path in paths])
    sides.add("torch loop", *kinds_loop.loop(images, numbers, test, seconds, asked.size, asked.seed, asked.rate))
    return told(asked, done, rows, sides, seconds)


def ours(asked: argparse.Namespace, config: dict[str, Any]) -> tuple[Run, list[Row], Sides, float]:
    """Run the whole life, or find it again. Returns it, its test rows, what each tier, blend and the cascade says of them, and its seconds."""
    folder = asked.work / f"run-{digest(config)[:12]}"
    done = run(read_config(None, (), config), folder, signer(), Told(), override=Override("benchmark", "the figures are what is asked for"))
    rows = list(done.data.rows("test"))
    task, exported = done.data.task, done.folders("export")
    tiers = {member.name: member for place in exported.values() for member in Tier.open(place).members()}
    answers = {name: asked_of(tier, rows) for name, tier in tiers.items()}
    sides = Sides(task.target_of(rows))
    for name, described in Predictors.read(done.made["calibrate"].folder / "cascade.json").described.items():
        logits, _ = Cascade.read(described, tiers).from_said({tier: said for tier, (said, _) in answers.items()})
        figures = {"rows_per_s": answers[name][1], "seconds": done.made[f"train/{tiers[name].whole or name}"].seconds} if name in tiers else {}
        sides.add(f"our {name}", task.probabilities({"logits": logits}), figures)  # type: ignore[attr-defined]
    spent = sum(made.seconds for name, made in done.made.items() if name.split("/")[0] in ("prepare", "train", "export", "calibrate"))
    return done, rows, sides, asked.seconds or spent


def asked_of(tier: Tier, rows: Sequence[Row]) -> tuple[NDArray, float]:
    """Return the logits of all rows, asked in batches as the others are, and how many rows a second."""
    size = kinds_peers.BATCH
    tier.outputs(rows[:size])
    started = time.perf_counter()
    said = [np.asarray(tier.outputs(rows[i : i + size])["logits"]) for i in range(0, len(rows), size)]
    return np.concatenate(said), len(rows) / (time.perf_counter() - started)


def told(asked: argparse.Namespace, done: Run, rows: Sequence[Row], sides: Sides, seconds: float) -> dict[str, Any]:
    """Print and return figures, differences, the certified cascades, energies, and how quickly a served package answers."""
    report = done.report
    reference = "+".join((report.get("cascade") or {}).get("reference") or [report["serves"]])
    ours_of = {f"our {reference}": "reference", f"our {report['serves']}": "serves"}
    print(f"\nrows {done.data.counts}; the others had {seconds:.0f} s\n{'':40}{'accuracy':>10}{'log loss':>10}{'AUC':>8}{'s':>8}{'rows/s':>9}")
    for name, figures in sides.figures.items():
        show_side(f"{name} ({ours_of[name]})" if name in ours_of else name, figures)
    mine, others = ([name for name in sides.said if name.startswith("our ") is side] for side in (True, False))
    differences = {f"{one} - {other}": sides.against(one, other) for one in mine for other in others}
    for what, found in differences.items():
        if what.split(" - ")[0] in ours_of:
            print(f"{what}: " + ", ".join(f"{name} {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}] {d['seen']}" for name, d in found.items()))
    settings = {setting: certified(asked, done, rows, setting) for setting in asked.settings}
    served = kinds_served.asked_over_http(done.folder / "package", rows[0], done.data.columns)
    print(f"served over HTTP, one row at a time: p50 {served['p50_ms']:.1f} ms, p95 {served['p95_ms']:.1f} ms ({served['requests']} requests)")
    found = {"rows": done.data.counts, "seconds": seconds, "serves": report["serves"], "reference": reference, "sides": sides.figures}
    return found | {"differences": differences, "settings": settings, "served": served, "energy_to_learn": learnt_with(report)}


def show_side(name: str, figures: Mapping[str, Any]) -> None:
    quality = f"{figures['accuracy']:10.2%}{figures['log_loss']:10.4f}{figures.get('auc', np.nan):8.4f}"
    settings = "".join(f"   {key} {figures[key]}" for key in ("tries", "best", "epochs", "bf16") if key in figures)
    print(f"{name:40}{quality}{figures.get('seconds', np.nan):8.0f}{figures.get('rows_per_s', np.nan):9.0f}{settings}")


def certified(asked: argparse.Namespace, done: Run, rows: Sequence[Row], setting: str) -> dict[str, Any]:
    """Find the cascade that keeps `setting`, let it and its reference answer in turns, and compare their answers to all test rows."""
    members = {m.name: (m, place) for place in done.folders("export").values() for m in Tier.open(place).members()}
    search = Search(False, done.data, members, Told())
    found = search.found(promised(setting))
    sides = [Cascade.read(found.cascade, {name: tier for name, (tier, _) in members.items()}), search.alone(search.reference)]
    mine, theirs = in_turns(sides, rows[: asked.timed])
    lost = _interval(paired(*(credited(side, rows) for side in sides)))
    ratio, wh = mine["rows_per_s"] / theirs["rows_per_s"], [side["watt_hours_per_1000"][1] for side in (mine, theirs)]
    print(
        f"cascade, {setting}: {mine['rows_per_s']:.0f} rows/s to {theirs['rows_per_s']:.0f} of {'+'.join(found.reference)} ({ratio:.2f} x), "
        f"{wh[0]:.3g} Wh to {wh[1]:.3g} per 1000; accuracy {lost['value']:+.4f} [{lost['low']:+.4f}, {lost['high']:+.4f}]\n    {found.why}"
    )
    return {"ratio": ratio, "cascade": mine, "reference": theirs, "accuracy": lost, "why": found.why, "needed_rows": found.rows_needed}


def credited(side: Cascade, rows: Sequence[Row]) -> NDArray:
    """Return (B,): whether each row is answered rightly."""
    parts = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    return np.concatenate([side.task.credit(side.outputs(part), part) for part in parts])


def learnt_with(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the watt-hours that each tier took to learn, with their range and how they were found out."""
    spent = {entry["tier"]: entry["energy_to_learn"] for entry in report["leaderboard"] if entry.get("energy_to_learn")}
    for tier, energy in spent.items():
        wh = [energy[end] / 3600 for end in ("low", "joules", "high")]
        print(f"learnt, {tier}: {wh[1]:.3g} Wh [{wh[0]:.3g}, {wh[2]:.3g}]")
    return spent


def _interval(found: Any) -> dict[str, Any]:
    return _seen(found.value, found.low, found.high) | {"n": found.n, "method": found.method}


def _seen(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "seen": "better" if low > 0 else "worse" if high < 0 else "alike"}


def delong(ours: NDArray, theirs: NDArray, positive: NDArray) -> dict[str, Any]:
    """Return the difference of two areas under the curve, and its interval (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837)."""
    gained = [_placements(ours, positive, wanted) - _placements(theirs, positive, wanted) for wanted in (True, False)]
    value, error = float(gained[0].mean()), 1.96 * float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in gained)))
    return _seen(value, value - error, value + error) | {"n": len(positive), "method": "DeLong's interval of paired areas"}


def _placements(said: NDArray, positive: NDArray, wanted: bool) -> NDArray:
    """Return, for each row of the class `wanted`, the share of the other class's rows that it stands rightly to; ties count half.

    Their mean is the area under the curve, for either class.
    """
    of, other = said[positive == wanted], np.sort(said[positive != wanted])
    below: NDArray = (np.searchsorted(other, of, "left") + np.searchsorted(other, of, "right")) / 2 / len(other)
    return below if wanted else 1 - below


def drawn(asked: argparse.Namespace, name: str, count: int | None) -> Path:
    """Write `count` rows of a table in random order and return the file; the table itself where all are asked for."""
    if count is None:
        return asked.data / name
    with (asked.data / name).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    asked.work.mkdir(parents=True, exist_ok=True)
    path: Path = asked.work / f"{asked.seed}-{count}-{name}"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *(rows[i] for i in np.random.default_rng(asked.seed).permutation(len(rows))[:count])])
    return path


def drawn_images(asked: argparse.Namespace) -> Path:
    """Return a folder with as many training and test images as asked for, as many of each class; all are in the folder of the data."""
    folder: Path = asked.data / "fashion"
    if asked.rows is None and asked.test_rows is None:
        return folder
    fewer: Path = asked.work / f"fashion-{asked.rows}-{asked.test_rows}"
    for split, count in (("train", asked.rows), ("test", asked.test_rows)):
        classes = sorted((folder / split).iterdir())
        for place in classes:
            into = fewer / split / place.name
            into.mkdir(parents=True, exist_ok=True)
            for path in sorted(place.iterdir())[: count and count // len(classes)]:
                shutil.copyfile(path, into / path.name)
    return fewer


def pixels(file: bytes) -> NDArray:
    """Return (H, W) uint8 grey."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("L"))


def machine() -> dict[str, Any]:
    here = Machine.here()
    versions = {library.__name__: library.__version__ for library in (penjing, lightgbm, np, sklearn, torch)}
    return {"processor": here.processor, "cores": here.cores, "bf16": here.bf16, "python": platform.python_version(), **versions}


if __name__ == "__main__":
    main()
