"""The cascade on 20 Newsgroups, beside Hugging Face's Trainer and scikit-learn, side by side in one run.

    pip install accelerate scikit-learn
    python examples/data.py newsgroups FOLDER
    python benchmarks/cascade.py FOLDER [--json figures.json]

For each seed, rows are drawn from newsgroups.csv and divided as a run divides them, and the tiers learn. Then the same transformer is fine-tuned by
Trainer from the same folder, on the same training rows, for the same epochs, reading as many tokens. Both keep the epoch with the least loss on
the same validation rows, and both multiply in bfloat16 where the processor is quick at it. Of the settings named by --peer, Trainer gets those that
are most accurate on the first seed's validation rows. scikit-learn chooses nothing, and so learns from all rows that Penjing was given. Linear models
read whole texts, transformers their first tokens.

Then a cascade is calibrated for each promise of --settings, with 95 % confidence, and reference and cascade answer in turns. Everything is counted
from answers to the same test rows. Those were posted later than the rows that a promise is proved on, and a promise holds for rows like these: so
agreement is also counted on a third of the calibration rows, set apart ("alike"). Intervals are of 95 %, by drawing test rows anew. What was
learnt is kept in WORK: the same command again learns nothing again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import peers
import sklearn
import torch
import transformers

import penjing
from penjing.core.cascade import Cascade
from penjing.core.energy import JOULES_PER_WATT_HOUR, metered
from penjing.core.files import digest, read_json, write_json
from penjing.core.machine import Machine
from penjing.core.protocols import Silent
from penjing.core.rows import ROW_ID
from penjing.core.snapshot import Snapshot
from penjing.core.statistics import percentile_interval, resampled_sums
from penjing.core.tier import Tier
from penjing.core.types import NDArray, Row
from penjing.pipeline.config import read_config
from penjing.pipeline.run import run
from penjing.pipeline.start import signer
from penjing.plugins.learners.transformer import models
from penjing.stages.calibrate.certificate import Promise
from penjing.stages.calibrate.search import Search

SETTINGS = ["agreement:0.95", "agreement:0.98", "agreement:0.99", "accuracy:0.01", "accuracy:0.005"]
MODEL, TIER = "all-MiniLM-L6-v2", "transformer-full"
MARGIN = 0.005
"""Accuracy that may be lost: half a point."""
LEAST_ROWS, LEAST_SEEDS = 4000, 3
"""Training rows and seeds without which no claim is made."""
CONFIDENCE = 0.95
BATCH, TURN = 64, 256
"""Rows that are answered at once, and in one turn."""


@dataclass
class Seed:
    """What one seed brought. Arrays are over its test rows: (B,)."""

    seed: int
    counts: dict[str, int]
    ids: NDArray
    sides: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Figures of tiers, peers and the best blend, by name."""
    right: dict[str, NDArray] = field(default_factory=dict)
    """Whether each answer is right, by name."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, right_B: NDArray, figures: Mapping[str, Any]) -> None:
        self.right[name] = right_B
        self.sides[name] = {"accuracy": float(right_B.mean()), **figures}


@dataclass(frozen=True)
class Learnt:
    """The tiers of one seed and what they say of the test rows."""

    data: Snapshot
    exported: dict[str, Path]
    rows: list[Row]
    truth: NDArray
    said: dict[str, NDArray]
    """(B, W) logits by tier, early exits included."""
    tiers: dict[str, Tier]

    def labels(self, logits_BW: NDArray) -> NDArray:
        return np.array([p["label"] for p in self.data.task.decode({"logits": logits_BW}, self.rows)])


def main() -> None:
    asked, load = arguments(), os.getloadavg()[0]
    seeds: list[Seed] = []
    tried = asked.peer
    for seed in asked.seeds:
        seeds.append(one(asked, seed, tried))
        tried = [max(tried, key=lambda peer: seeds[0].sides[f"Trainer, {peer}"]["validation_accuracy"])]
    found = summary(seeds, tried[0], asked) | {"machine": machine(), "load_before": load}
    show(found, seeds, asked)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of newsgroups.csv and newsgroups-test.csv")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-cascade"), help="where what was learnt is kept")
    parser.add_argument("--rows", type=int, default=9000, help="rows given; 15 %% of them go to validation")
    parser.add_argument("--calibration", type=float, default=0.35, help="share of the rows to prove promises on")
    parser.add_argument("--test-rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="tokens that both transformers read of a text")
    parser.add_argument("--cheap", nargs="+", default=["linear"], help="tiers before the transformer, with their defaults")
    parser.add_argument("--learning-rate", type=float, help="of our transformer; its own default where not given")
    parser.add_argument(
        "--peer", nargs="+", default=["defaults", "tutorial"], choices=list(peers.TRAINER), help="settings that Trainer has to choose from"
    )
    parser.add_argument("--cap", type=float, default=900, help="seconds after which Trainer is stopped")
    parser.add_argument("--settings", nargs="*", default=SETTINGS, help="promises to keep: agreement:SHARE, accuracy:MARGIN")
    parser.add_argument("--timed", type=int, default=1024, help="test rows that reference and cascade answer in turns")
    parser.add_argument("--json", type=Path, help="also write the figures as one JSON object")
    return parser.parse_args()


def one(asked: argparse.Namespace, seed: int, tried: Sequence[str]) -> Seed:
    """Learn, or find again, everything of one seed, and measure it."""
    print(f"seed {seed}", flush=True)
    given, test = drawn(asked, "newsgroups.csv", asked.rows, seed), drawn(asked, "newsgroups-test.csv", asked.test_rows, 0)
    kept = asked.work / "answers"
    learnt, this = learn(asked, given, test, seed, kept)
    data, truth = learnt.data, learnt.truth
    texts = {
        split: ([r["text"] for r in data.rows(split)], [r["topic"] for r in data.rows(split)]) for split in ("train", "validation", "calibration")
    }
    asks = [row["text"] for row in learnt.rows]
    of = {"rows": digest([texts, asks]), "library": transformers.__version__, "seed": seed}
    for peer in tried:
        how = (models.resolve(MODEL), texts["train"], texts["validation"], asks, asked.tokens, asked.epochs, seed, asked.cap, peer)
        labels, figures = remembered(kept, {**of, "peer": peers.TRAINER[peer], "how": how[4:8]}, lambda how=how: peers.trainer(*how))
        this.add(f"Trainer, {peer}", labels == truth, figures)
    everything = tuple([value for part in texts.values() for value in part[i]] for i in (0, 1))
    labels, figures = remembered(kept, {**of, "peer": "scikit-learn"}, lambda: peers.tfidf(everything, asks))
    this.add("scikit-learn", labels == truth, figures)
    search = Search(False, data, {name: (learnt.tiers[name], place) for name, place in places(learnt).items()}, Told())
    alike = set_apart(learnt, search)
    blend(learnt, this, search)
    for setting in asked.settings:
        measure(learnt, this, search, setting, asked.timed)
        this.settings[setting] |= kept_on(learnt, alike, this.settings[setting])
    return this


def drawn(asked: argparse.Namespace, source: str, count: int, seed: int) -> Path:
    """Write `count` rows of `source` in random order (the originals are sorted by topic) and return the file."""
    csv.field_size_limit(1 << 30)
    with (asked.data / source).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    picked = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))[:count]]
    path = asked.work / f"{seed}-{len(picked)}-{source}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(picked)
    return path


def remembered(folder: Path, depends: Mapping[str, Any], make: Callable[[], peers.Answers]) -> peers.Answers:
    """Return what `make` returned the first time that it was asked with `depends`."""
    place = folder / digest(depends)[:16]
    if not place.with_suffix(".json").exists():
        answers, figures = make()
        folder.mkdir(parents=True, exist_ok=True)
        np.save(place.with_suffix(".npy"), answers)
        write_json(place.with_suffix(".json"), figures)
    return np.load(place.with_suffix(".npy")), read_json(place.with_suffix(".json"))


class Told(Silent):
    """Passes on what a run says, and no bars."""

    def say(self, sentence: str) -> None:
        print(f"  {sentence}", flush=True)


def learn(asked: argparse.Namespace, given: Path, test: Path, seed: int, kept: Path) -> tuple[Learnt, Seed]:
    tuned: dict[str, Any] = {
        "learner": "transformer",
        "name": TIER,
        "model": MODEL,
        "tune": "full",
        "epochs": asked.epochs,
        "max_tokens": asked.tokens,
    }
    if asked.learning_rate:
        tuned["learning_rate"] = asked.learning_rate
    data = {"source": str(given), "test": str(test), "target": "topic", "columns": ["text"], "calibration": asked.calibration}
    config = {"data": data, "tiers": [*asked.cheap, tuned], "seed": seed}
    done = run(read_config(None, (), config), asked.work / f"run-{digest(config)[:12]}", signer(), Told(), until="train")
    exported = done.folders("export")
    rows = done.data.rows("test")
    tiers = {tier.name: tier for place in exported.values() for tier in Tier.open(place).members()}
    learnt = Learnt(done.data, exported, rows, np.array([row["topic"] for row in rows]), {}, tiers)
    this = Seed(seed, done.data.counts, np.array([row[ROW_ID] for row in rows]))
    for name, tier in tiers.items():
        whole = tier.whole or name
        depends = {"data": done.made["prepare"].model, "tier": name, "model": done.made[f"export/{whole}"].model}
        learnt.said[name], figures = remembered(kept, depends, lambda tier=tier: answered(tier, rows))
        this.add(name, learnt.labels(learnt.said[name]) == learnt.truth, {**figures, "seconds": done.made[f"train/{whole}"].seconds})
    return learnt, this


def answered(tier: Tier, rows: Sequence[Row]) -> peers.Answers:
    tier.predict(rows[:BATCH])
    started = time.perf_counter()
    said = [np.asarray(tier.outputs(rows[i : i + BATCH])["logits"]) for i in range(0, len(rows), BATCH)]
    return np.concatenate(said), {"rows_per_s": len(rows) / (time.perf_counter() - started)}


def blend(learnt: Learnt, this: Seed, search: Search) -> None:
    """Add the blend of several tiers that is best on the validation rows, and its member that is best there."""
    rows, blends = search.rows["validation"], search.blends
    credit = {tiers: learnt.data.task.credit({"logits": blends.of(tiers)[1]}, rows).mean() for tiers in blends.candidates()}
    best = max((tiers for tiers in credit if len(tiers) > 1), key=lambda tiers: credit[tiers])
    member = max(best, key=lambda tier: credit[tier,])
    this.add("best blend", learnt.labels(blends.of(best)[0].apply(learnt.said)) == learnt.truth, {"of": list(best), "best_member": member})
    this.right["best member"] = this.right[member]


def places(learnt: Learnt) -> dict[str, Path]:
    """Return the export's folder of every tier, the cheapest first."""
    return {name: learnt.exported[tier.whole or name] for name, tier in learnt.tiers.items()}


def measure(learnt: Learnt, this: Seed, search: Search, setting: str, timed: int) -> None:
    """Find the cascade that keeps `setting` ("agreement:SHARE" or "accuracy:MARGIN"), and hold it against its reference on the test rows."""
    found = search.found(promised(setting))
    cascade, reference = Cascade.read(found.cascade, learnt.tiers), search.alone(search.reference)
    (ours_BW, step_B), (theirs_BW, _) = cascade.from_said(learnt.said), reference.from_said(learnt.said)
    ours_B, theirs_B = learnt.labels(ours_BW), learnt.labels(theirs_BW)
    this.right |= {f"cascade, {setting}": ours_B == learnt.truth, f"reference, {setting}": theirs_B == learnt.truth}
    costs = in_turns([reference, cascade], learnt.rows[:timed])
    this.settings[setting] = {
        "reference": {"tiers": found.reference, "accuracy": float((theirs_B == learnt.truth).mean()), **costs[0]},
        "accuracy": float((ours_B == learnt.truth).mean()),
        "agreement": float((ours_B == theirs_B).mean()),
        "answered": {"+".join(step.tiers): float((step_B == i).mean()) for i, step in enumerate(cascade.steps)},
        "cascade": found.cascade,
        "alone": reference.described(),
        "share_cheap": float((step_B < len(cascade.steps) - 1).mean()),
        "ratio": costs[1]["rows_per_s"] / costs[0]["rows_per_s"],
        **costs[1],
        "why": found.why,
        "calibration_rows": len(search.rows["calibration"]),
        "needed_rows": found.rows_needed,
    }


def set_apart(learnt: Learnt, search: Search) -> dict[str, NDArray]:
    """Take a third of the calibration rows from `search`, and return what each tier says of them: rows like those a promise is proved on."""
    rows = search.rows["calibration"]
    third = len(rows) // 3
    search.rows["calibration"] = rows[third:]
    return {name: answered(tier, rows[:third])[0] for name, tier in learnt.tiers.items()}


def kept_on(learnt: Learnt, said: Mapping[str, NDArray], got: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a cascade agrees with its reference on the rows of `said`."""
    ours, theirs = (Cascade.read(told, learnt.tiers).from_said(said)[0].argmax(axis=1) for told in (got["cascade"], got["alone"]))
    return {"agreement_alike": float((ours == theirs).mean()), "rows_alike": len(ours)}


def promised(setting: str) -> Promise:
    keep, _, limit = setting.partition(":")
    return Promise("agreement" if keep == "agreement" else "accuracy", float(limit), CONFIDENCE)


def in_turns(sides: Sequence[Cascade], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what each side took for `rows`, answered in turns so that all see the same machine."""
    seconds, joules = [0.0] * len(sides), np.zeros((len(sides), 3))
    method = ""
    for side in sides:
        side.predict(rows[:BATCH])
    for start in range(0, len(rows), TURN):
        part = rows[start : start + TURN]
        for i, side in enumerate(sides):
            with metered() as used:
                before = time.perf_counter()
                for at in range(0, len(part), BATCH):
                    side.predict(part[at : at + BATCH])
                seconds[i] += time.perf_counter() - before
            joules[i] += (used.energy.low, used.energy.joules, used.energy.high)
            method = used.energy.method
    watt_hours = (joules / JOULES_PER_WATT_HOUR * 1000 / len(rows)).tolist()
    return [{"rows_per_s": len(rows) / s, "watt_hours_per_1000": wh, "energy": method} for s, wh in zip(seconds, watt_hours, strict=True)]


def paired(seeds: Sequence[Seed], ours: str, theirs: str) -> dict[str, Any]:
    """Return ours - theirs in accuracy: of each seed, their mean, and its interval over the test rows that all seeds share.

    A row's differences are averaged over the seeds before rows are drawn, so that a row counts once; what other seeds would bring is not in it.
    """
    shared = set.intersection(*(set(s.ids.tolist()) for s in seeds))
    values_SB = np.array([(s.right[ours].astype(float) - s.right[theirs])[np.isin(s.ids, list(shared))] for s in seeds])
    means_R = resampled_sums(values_SB.mean(axis=0)[:, None], 2000)[:, 0] / len(shared)
    low, high = percentile_interval(means_R[1:])
    return {"seeds": values_SB.mean(axis=1).tolist(), "mean": float(means_R[0]), "low": low, "high": high, "rows": len(shared)}


def summary(seeds: Sequence[Seed], peer: str, asked: argparse.Namespace) -> dict[str, Any]:
    by_seed = {s.seed: {"rows": s.counts, "sides": s.sides, "settings": s.settings} for s in seeds}
    given = {key: str(value) if isinstance(value, Path) else value for key, value in vars(asked).items()}
    return {"asked": given, "trainer": {peer: peers.TRAINER[peer]}, "seeds": by_seed, "verdicts": verdicts(seeds, f"Trainer, {peer}", asked.settings)}


def verdicts(seeds: Sequence[Seed], trainer: str, settings: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is claimed, and whether it was seen: None where there are too few rows or seeds to claim it, or Trainer was stopped."""
    enough = len(seeds) >= LEAST_SEEDS and min(s.counts["train"] for s in seeds) >= LEAST_ROWS
    capped = any(s.sides[trainer]["capped"] for s in seeds)
    tuned, blended = paired(seeds, TIER, trainer), paired(seeds, "best blend", "best member")
    found = [
        (f"{TIER} is no worse than {trainer}, by half a point", tuned["mean"] >= -MARGIN if not capped else None, tuned),
        ("the best blend is better than its best member", blended["low"] > 0, blended),
    ]
    for setting in settings:
        figures = [s.settings[setting] for s in seeds]
        difference = paired(seeds, f"cascade, {setting}", f"reference, {setting}")
        ratio = float(np.mean([f["ratio"] for f in figures]))
        if (promise := promised(setting)).keep == "agreement":
            alike, later = ([f[key] for f in figures] for key in ("agreement_alike", "agreement"))
            what = f"{setting} is kept on rows like those it was proved on ({min(alike):.2%} at least; {min(later):.2%} on the later test rows)"
            found.append((f"{what}, at {ratio:.2f} x the rows a second", min(alike) >= promise.limit, difference))
        else:
            what = f"{setting}: twice the reference's rows a second ({ratio:.2f} x) and no loss beyond half a point"
            found.append((what, ratio >= 2 and difference["mean"] >= -MARGIN, difference))
    return [{"claim": what, "seen": bool(seen) if enough and seen is not None else None, **figures} for what, seen, figures in found]


def machine() -> dict[str, Any]:
    here = Machine.here()
    versions = {library.__name__: library.__version__ for library in (penjing, np, sklearn, torch, transformers)}
    return {"processor": here.processor, "cores": here.cores, "bf16": here.bf16, "python": platform.python_version(), **versions}


def show(found: Mapping[str, Any], seeds: Sequence[Seed], asked: argparse.Namespace) -> None:
    print(f"\nrows {seeds[0].counts}, {asked.tokens} tokens, {asked.epochs} epochs; Trainer with {found['trainer']}\n")
    print(f"{'accuracy':22}" + "".join(f"{f'seed {s.seed}':>9}" for s in seeds) + f"{'mean':>9}{'learnt in, s':>14}{'rows/s':>9}   (medians)")
    for name in seeds[0].sides:
        show_side(name, seeds)
    for setting in asked.settings:
        heads = f"{'cheap':>7}{'agrees':>9}{'alike':>9}{'accuracy':>10}{'(ref.)':>9}{'rows/s':>8}{'(ref.)':>8}{'ratio':>7}"
        print(f"\n{setting:16}{heads}   Wh per 1000 (ref.)")
        for s in seeds:
            show_setting(s.seed, s.settings[setting])
    print()
    for verdict in found["verdicts"]:
        seen = {True: "seen", False: "NOT SEEN", None: "too little to say"}[verdict["seen"]]
        mean, low, high = (100 * verdict[key] for key in ("mean", "low", "high"))
        print(f"{seen}: {verdict['claim']}: {mean:+.2f} points [{low:+.2f}, {high:+.2f}], by seed {[round(100 * v, 2) for v in verdict['seeds']]}")
    print(found["machine"], f"load {found['load_before']:.1f}")


def show_side(name: str, seeds: Sequence[Seed]) -> None:
    sides = [s.sides.get(name, {}) for s in seeds]
    having = [side for side in sides if side]
    each = "".join(f"{side['accuracy']:9.2%}" if side else " " * 9 for side in sides)
    note = "capped" if any(side.get("capped") for side in having) else "tried on the first seed" if len(having) < len(seeds) else ""
    line = f"{name:22}{each}{np.mean([side['accuracy'] for side in having]):9.2%}"
    if "seconds" in having[0]:  # the first of a kind to run also waits for its libraries, so the middle one counts
        line += "".join(f"{np.median([side[key] for side in having]):{width}.0f}" for key, width in (("seconds", 14), ("rows_per_s", 9)))
    print(f"{line}   {note or ' + '.join(having[0].get('of', []))}")


def show_setting(seed: int, got: Mapping[str, Any]) -> None:
    theirs = got["reference"]
    ours, other = (f"{wh[1]:.3g} [{wh[0]:.3g}, {wh[2]:.3g}]" for wh in (got["watt_hours_per_1000"], theirs["watt_hours_per_1000"]))
    print(
        f"{f'  seed {seed}':16}{got['share_cheap']:7.1%}{got['agreement']:9.2%}{got['agreement_alike']:9.2%}"
        f"{got['accuracy']:10.2%}{theirs['accuracy']:9.2%}{got['rows_per_s']:8.0f}{theirs['rows_per_s']:8.0f}{got['ratio']:7.2f}   {ours} ({other})"
    )
    print(f"    {got['why']}")


if __name__ == "__main__":
    main()
