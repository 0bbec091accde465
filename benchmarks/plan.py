"""What `penjing plan` says a tier will cost, beside what it then costs, for plans drawn from a seed.

    python benchmarks/plan.py --seed 1 --plans 20 [--data FILE:TARGET ...] [--learner NAME ...] [--json figures.json]

A plan is a learner, its options and a number of rows. Rows are drawn from the files given (CSV, or a folder of images with a folder a label), or made
up: texts of words that tell the topic a little, and tables. Each plan is tried and reckoned as `penjing plan` does, and then learnt and exported in a
process of its own, whose seconds and peak of memory (VmHWM) are the actual ones. A plan that is reckoned to take longer than --most is drawn anew.

Printed are estimate, range and actual of each plan, and the share of plans whose estimate is within 25 % of the actual, for time and for memory.
What is done is kept in WORK: the same command again goes on. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.errors import PlanError
from penjing.core.files import read_json, write_json
from penjing.core.learning.tiers import TierConfig
from penjing.core.machine import Machine, peak_bytes
from penjing.core.protocols import Silent
from penjing.core.snapshot import Snapshot
from penjing.pipeline.config import read_config
from penjing.pipeline.probe import Probe
from penjing.pipeline.run import run
from penjing.pipeline.start import make_key, signer
from penjing.stages.export import export
from penjing.stages.plan import plan
from penjing.stages.train import Conduct, train

WITHIN = 0.25
_FAR = 2.0
"""A plan that even the formula says takes so many times --most is not tried."""
SPACES: dict[str, dict[str, dict[str, list[Any]]]] = {
    "text": {
        "linear": {"epochs": [3, 5, 10], "word_ngrams": [1, 2], "char_ngrams": [None, [4, 4], [3, 5]]},
        "static-embedding": {"epochs": [5, 10, 20]},
        "transformer": {
            "tune": ["frozen", "partial", "full", "full"],
            "epochs": [1, 2, 3],
            "batch_size": [16, 32, 64],
            "piece": [2048, 4096, 8192],
            "max_tokens": [64, 128, 256],
            "precision": ["auto", "auto", "f32"],
        },
    },
    "table": {
        "tabular-linear": {"bins": [16, 64]},
        "boosted-trees": {"learning_rate": [0.05, 0.1], "leaves": [15, 31, 63]},
        "tabular-network": {"epochs": [3, 6, 12], "layers": [2, 3], "width": [128, 256], "architecture": ["mlp", "mlp", "ft-transformer"]},
    },
    "image": {
        "pixel-linear": {},
        "image-network": {"epochs": [1, 2, 4], "channels": [16, 32]},
        "backbone": {"tune": ["frozen", "full"], "epochs": [1, 2], "size": [64]},
    },
}
"""What is drawn from, by kind of input and learner. Width of an ft-transformer is the learner's own."""
ROWS = {"text": (800, 6000), "table": (1000, 20000), "image": (500, 3000)}


def main() -> None:
    asked = arguments()
    if asked.learn:
        learn(asked.learn)
        return
    make_key(print)
    print(f"{Machine.here()}, load {os.getloadavg()[0]:.1f}, torch and others as installed", flush=True)
    found = [done(asked, number) for number in range(asked.plans)]
    summary = told(found)
    if asked.json:
        write_json(
            asked.json, {"asked": {"seed": asked.seed, "plans": asked.plans}, "machine": str(Machine.here()), "plans": found, "within": summary}
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plans", type=int, default=20)
    parser.add_argument("--data", nargs="+", default=[], metavar="FILE:TARGET", help="CSV files, or folders of images (FOLDER:label)")
    parser.add_argument("--learner", nargs="+", help="learners to draw from; all where not given")
    parser.add_argument("--most", type=float, default=180.0, help="seconds that a plan may be reckoned to take")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-plan"), help="where what is done is kept")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--learn", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def done(asked: argparse.Namespace, number: int) -> dict[str, Any]:
    """Return the estimate and the actual of plan `number`; prints them."""
    place = asked.work / f"seed-{asked.seed}" / f"plan-{number}"
    name = "-".join([*(asked.learner or ["all"]), *(Path(one.rpartition(":")[0]).stem for one in asked.data)])
    place = place / name
    if not (place / "done.json").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for attempt in range(20):
            chance = random.Random(f"{asked.seed} {number} {attempt}")
            if (found := compared(chance, asked, place)) is not None:
                break
        else:
            raise SystemExit("Twenty plans in a row were longer than --most. Raise it.")
        write_json(place / "done.json", found)
        for left in ("run", "trained", "exported", "cache", "rows"):
            shutil.rmtree(place / left, ignore_errors=True)
    found = read_json(place / "done.json")
    print(line(number, found), flush=True)
    return found


def compared(chance: random.Random, asked: argparse.Namespace, place: Path) -> dict[str, Any] | None:
    """Draw a plan, reckon it and do it; None where it would take too long."""
    source, target, kind = drawn_data(chance, asked, place)
    learners = [name for name in SPACES[kind] if not asked.learner or name in asked.learner]
    drawn = chance.choice(learners)
    tier = TierConfig.parse({"learner": drawn, **options(chance, kind, drawn)})
    config = read_config(None, (), {"data": {"source": str(source), "target": target}, "tiers": [tier.dump()]})
    shutil.rmtree(place / "run", ignore_errors=True)
    data = run(config, place / "run", signer(), until="prepare").data
    if plan([tier], True, data, place).estimates[tier.name].seconds > _FAR * asked.most:
        return None
    started = time.perf_counter()
    estimate = plan([tier], True, data, place, Probe(data, place / "tries", 0, Silent()).tried).estimates[tier.name]
    seconds = time.perf_counter() - started
    if estimate.seconds > asked.most:
        return None
    write_json(place / "job.json", {"data": str(data.folder.resolve()), "tier": tier.dump()})
    subprocess.run([sys.executable, __file__, "--learn", str(place.resolve())], check=True)
    actual = read_json(place / "actual.json")
    named = {key: getattr(tier.options, key) for key in SPACES[kind][drawn] if hasattr(tier.options, key)}
    return {
        "learner": drawn,
        "options": {key: list(value) if isinstance(value, tuple) else value for key, value in named.items()},
        "data": source.name,
        "rows": data.counts["train"],
        "planning_seconds": round(seconds, 1),
        "estimate": {key: getattr(estimate, key) for key in type(estimate).__dataclass_fields__},
        "actual": actual,
    }


def options(chance: random.Random, kind: str, learner: str) -> dict[str, Any]:
    """Draw options that the learner has and takes."""
    section = plugins.options("learners", learner)
    while True:
        found = {key: chance.choice(values) for key, values in SPACES[kind][learner].items() if key in section.model_fields}
        if found.get("architecture") == "ft-transformer":
            found.pop("width", None)
        try:
            section(**found)
        except ValueError:
            continue
        return found


def drawn_data(chance: random.Random, asked: argparse.Namespace, place: Path) -> tuple[Path, str, str]:
    """Return a source with as many rows as are drawn, its target, and the kind of input."""
    folder = place / "rows"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not asked.data:
        kinds = [kind for kind in ("text", "table") if not asked.learner or set(SPACES[kind]) & set(asked.learner)]
        kind = chance.choice(kinds)
        rows = list((texts if kind == "text" else tables)(chance, drawn_rows(chance, kind)))
        return written(folder / f"made-up-{kind}.csv", rows), "answer", kind
    usable = [one for one in asked.data if not asked.learner or set(SPACES[kind_of(one)]) & set(asked.learner)]
    given, _, target = chance.choice(usable).rpartition(":")
    kind = kind_of(f"{given}:{target}")
    if kind == "image":
        return some_images(chance, Path(given), drawn_rows(chance, kind), folder / Path(given).name), target, kind
    with Path(given).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return written(folder / Path(given).name, chance.sample(rows, min(len(rows), drawn_rows(chance, kind)))), target, kind


def kind_of(given: str) -> str:
    path = Path(given.rpartition(":")[0])
    if path.is_dir():
        return "image"
    with path.open(newline="", encoding="utf-8") as file:
        return "table" if len(next(csv.reader(file))) > 4 else "text"


def drawn_rows(chance: random.Random, kind: str) -> int:
    least, most = ROWS[kind]
    return round(least * (most / least) ** chance.random())


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def some_images(chance: random.Random, given: Path, count: int, folder: Path) -> Path:
    files = sorted(path for path in given.rglob("*") if path.is_file())
    for path in chance.sample(files, min(count, len(files))):
        to = folder / path.relative_to(given)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    return folder


def texts(chance: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Texts of English-looking words, of very different lengths; a tenth of the words tell the topic."""
    syllables = ["the", "ing", "er", "con", "a", "lo", "pro", "ness", "mi", "ta", "re", "un", "ly", "ment", "so", "ra"]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 3))) for _ in range(4000)]
    topics = {f"topic {i}": chance.sample(words, 200) for i in range(chance.randint(2, 12))}
    middle = chance.choice([15, 40, 90])
    for _ in range(count):
        topic = chance.choice(list(topics))
        length = max(3, min(600, round(chance.lognormvariate(0, 0.8) * middle)))
        yield {"text": " ".join(chance.choice(topics[topic] if chance.random() < 0.1 else words) for _ in range(length)), "answer": topic}


def tables(chance: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Numbers and categories, of which a few decide, with noise."""
    numbers, codes = chance.randint(4, 20), chance.randint(2, 10)
    for _ in range(count):
        row: dict[str, Any] = {f"n{i}": round(chance.gauss(0, 1), 4) for i in range(numbers)}
        row |= {f"c{i}": f"kind {chance.randint(0, 5 + 10 * i)}" for i in range(codes)}
        score = row["n0"] + row["n1"] * row["n2"] + (row["c0"] in ("kind 1", "kind 2")) + chance.gauss(0, 0.7)
        yield row | {"answer": "high" if score > 0.3 else "low"}


def learn(place: Path) -> None:
    """Learn and export what job.json tells of, and write what it took."""
    job = read_json(place / "job.json")
    data, tier = Snapshot.open(Path(job["data"])), TierConfig.parse(job["tier"])
    for name in ("trained", "exported"):
        (place / name / "measured").mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    train(tier, data, None, Conduct(0, place / "cache", Silent()), Allowance(), place / "trained")
    learnt = time.perf_counter() - started
    peak_learning = peak_bytes()
    export(place / "trained", data, place / "exported", Silent())
    seconds = time.perf_counter() - started
    write_json(place / "actual.json", {"seconds": seconds, "learning": learnt, "memory_bytes": peak_bytes(), "memory_learning": peak_learning})


def line(number: int, found: Mapping[str, Any]) -> str:
    told, actual = found["estimate"], found["actual"]
    described = ", ".join(f"{key} {value}" for key, value in found["options"].items())
    reckoned = f"{told['seconds']:.1f} s ({told['seconds_low']:.0f} to {told['seconds_high']:.0f})"
    seconds = f"{reckoned:24} {actual['seconds']:6.1f} s {told['seconds'] / actual['seconds'] - 1:+5.0%}"
    needed, had = told["memory_bytes"], actual["memory_bytes"]
    memory = f"{needed / 1e6:6,.0f} MB {had / 1e6:6,.0f} MB {needed / had - 1:+5.0%}"
    probed = "" if told["probed"] else " (formula)"
    return f"{number:3} {found['learner']:16} {found['rows']:6,} rows  {seconds}  {memory}  {found['planning_seconds']:4.1f} s{probed}  {described}"


def told(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Print and return the shares."""
    summary: dict[str, Any] = {}
    for name in ("seconds", "memory_bytes"):
        ratios = [one["estimate"][name] / one["actual"][name] for one in found]
        short = name.removesuffix("_bytes")
        inside = [one["estimate"][f"{short}_low"] <= one["actual"][name] <= one["estimate"][f"{short}_high"] for one in found]
        within = [abs(ratio - 1) <= WITHIN for ratio in ratios]
        summary[short] = {"within": sum(within), "of": len(found), "inside the range": sum(inside), "ratios": [round(ratio, 3) for ratio in ratios]}
        print(f"{short}: {sum(within)} of {len(found)} within {WITHIN:.0%}; {sum(inside)} inside the range that was told")
    return summary


if __name__ == "__main__":
    try:
        main()
    except PlanError as error:
        raise SystemExit(str(error)) from error
    except json.JSONDecodeError as error:
        raise SystemExit(f"A file of --work is broken ({error}). Delete the folder.") from error
