"""A million rows of a table: a run and `penjing predict`, each in a process of its own whose memory is watched.

The rows are drawn from Adult with replacement, and every number is shaken by a twentieth of its own, so that they differ. Rows much alike stand in
several splits: the accuracy that is printed is no measure of quality.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROWS, FEW = 1_000_000, 50_000
LIMIT_KB, STREAMS_KB = 4 * 1024 * 1024, 100 * 1024
"""What a run and a prediction may hold at most, and by how much more rows may make a prediction's peak differ."""
CHUNK = 10_000
TIERS = ["tabular-linear", "boosted-trees"]
WATCHED = """
import sys
from penjing.cli.main import main
sys.argv = ["penjing", *sys.argv[1:]]
try:
    main()
    code = 0
except SystemExit as done:
    code = done.code or 0
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"\\n{code} {peak}")
"""


def million(asked: argparse.Namespace) -> dict[str, Any]:
    """Return peaks in kB, seconds and rows a second of the run and of two predictions, one of them of few rows."""
    count = asked.rows or ROWS
    asked.work.mkdir(parents=True, exist_ok=True)
    rows = written(asked.data / "adult.csv", asked.work / f"million-{count}.csv", count)
    few = written(asked.data / "adult.csv", asked.work / f"million-{min(FEW, count)}-few.csv", min(FEW, count))
    folder = asked.work / f"million-{count}"
    tiers = [part for tier in TIERS for part in ("--tier", tier)]
    by = ["--override-by", "benchmark", "--because", "the figures are what is asked for"]
    found = {"run": watched(["run", str(rows), "--target", "income", *tiers, *by, "--run", str(folder)], count)}
    for name, source, n in (("predict", rows, count), ("predict few", few, min(FEW, count))):
        output = asked.work / f"million-{name.replace(' ', '-')}.out.csv"
        found[name] = watched(["predict", str(folder / "package"), str(source), "-o", str(output)], n)
        with output.open("rb") as file:
            found[name]["answered"] = sum(1 for _ in file) - 1
    report = json.loads((folder / "report" / "report.json").read_text())
    found["seconds_to_learn"] = {entry["tier"]: entry["seconds_to_learn"] for entry in report["leaderboard"]}
    found["accuracy"] = {entry["tier"]: entry["measurements"][0]["value"] for entry in report["leaderboard"]}
    apart = found["predict"]["peak_kb"] - found["predict few"]["peak_kb"]
    seen = {
        "a run stays below 4 GB": found["run"]["peak_kb"] < LIMIT_KB,
        "a prediction stays below 4 GB": found["predict"]["peak_kb"] < LIMIT_KB,
        "predict streams": apart < STREAMS_KB,
        "every row is answered": found["predict"]["answered"] == count,
    }
    for claim, holds in seen.items():
        print(f"{'seen' if holds else 'NOT SEEN'}: {claim}")
    print(f"predict: {count:,} rows peak {apart / 1024:+.0f} MB over {min(FEW, count):,}; accuracy {found['accuracy']}")
    return found | {"rows": count, "claims": seen}


def watched(arguments: list[str], rows: int) -> dict[str, Any]:
    """Run penjing and return its peak and its seconds. Its peak is the kernel's high-water mark of resident memory of its process."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", WATCHED, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - started
    code, peak = done.stdout.split()[-2:]
    if code != "0":
        raise SystemExit(f"penjing {arguments[0]} ended with code {code}; its own words are above.")
    print(f"{arguments[0]}: {rows:,} rows, {seconds:.0f} s, {rows / seconds:,.0f} rows/s, peak {int(peak) / 1024:,.0f} MB", flush=True)
    return {"seconds": seconds, "rows_per_s": rows / seconds, "peak_kb": int(peak)}


def written(source: Path, path: Path, count: int) -> Path:
    """Write `count` rows like those of `source` into `path`, some thousand at a time, unless they are there."""
    if path.exists():
        return path
    with source.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = list(zip(*rows, strict=True))
    numeric = [all(value.isdigit() for value in column) for column in columns]
    rng, partial = np.random.default_rng(0), path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for start in range(0, count, CHUNK):
            drawn = rng.integers(0, len(rows), min(CHUNK, count - start))
            made = [_shaken(column, drawn, rng) if number else [column[i] for i in drawn] for column, number in zip(columns, numeric, strict=True)]
            writer.writerows(zip(*made, strict=True))
    partial.rename(path)
    return path


def _shaken(column: tuple[str, ...], drawn: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Zeros stay zeros, as most of Adult's gains and losses are."""
    values = np.array([int(column[i]) for i in drawn])
    shaken: list[int] = np.rint(values * rng.normal(1, 0.05, len(values))).astype(int).tolist()
    return shaken
