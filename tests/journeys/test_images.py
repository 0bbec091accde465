"""Images by the command: scikit-learn's 1,797 scanned digits as folders of classes and as a table of scans, to a signed package that answers."""

from __future__ import annotations

import base64
import csv
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1500)]
TIERS = "tiers=[pixel-linear, {learner: image-network, epochs: 8, size: 32, augment: {flip: false}}, {learner: backbone, tune: frozen, size: 64}]"
PER_PATIENT = 6


def penjing(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "penjing", *arguments], cwd=folder, capture_output=True, text=True)


@contextmanager
def served(folder: Path, package: str) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "penjing", "serve", package, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = next(line for line in server.stdout if "http://" in line)
            yield line[line.index("http://") :].split()[0].rstrip(".,")
        finally:
            server.terminate()


def ask(url: str, body: bytes, kind: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/v1/predict", body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)["predictions"][0]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`digits/CLASS/*.png` by number, and `scans/` with the same images, six a patient, and a table of them."""
    from sklearn.datasets import load_digits

    folder, (pixels, labels) = tmp_path_factory.mktemp("images"), load_digits(return_X_y=True)
    (folder / "scans").mkdir()
    with (folder / "scans" / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "finding", "patient"])
        for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            place = folder / "digits" / f"digit-{label}"
            place.mkdir(parents=True, exist_ok=True)
            grey = (image.reshape(8, 8) * 15.9).astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)
            Image.fromarray(grey).save(place / f"{i:04}.png")
            Image.fromarray(grey).save(folder / "scans" / f"{i:04}.png")
            table.writerow([f"{i:04}.png", f"digit-{label}", f"P-{i // PER_PATIENT}"])
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_HOME", str(folder / "home"))
        done = penjing(folder, "run", "digits", "--target", "label", "--run", "run", "--set", TIERS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "run" / "package" / "report.json").read_text())
    return found


@pytest.fixture(autouse=True)
def same_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(folder / "home"))


def test_a_folder_of_classes_becomes_a_signed_package(report: dict[str, Any]) -> None:
    assert report["task"] == "image-classification"
    accuracy = {entry["tier"]: entry["measurements"][0]["value"] for entry in report["leaderboard"]}
    assert {"pixel-linear", "image-network", "backbone-frozen"} <= accuracy.keys()
    # By scikit-learn's own example a support vector machine makes 97 % of them.
    assert min(accuracy["pixel-linear"], accuracy["image-network"]) > 0.93
    assert accuracy["backbone-frozen"] > 0.85
    for entry in report["leaderboard"]:
        assert all(m["value"] == 1 for m in entry.get("parity") or [] if m["name"] == "parity")


def test_a_served_image_is_the_same_as_bytes_as_base64_and_from_a_form(folder: Path, report: dict[str, Any]) -> None:
    image = next((folder / "digits" / "digit-0").iterdir())
    told = penjing(folder, "predict", "run/package", str(image))
    assert told.returncode == 0, told.stderr
    expected = json.loads(told.stdout)["label"]
    assert expected == "digit-0"
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="0.png"\r\nContent-Type: image/png\r\n\r\n'
    form = part + image.read_bytes() + b"\r\n--b--\r\n"
    coded = json.dumps({"rows": [{"image": base64.b64encode(image.read_bytes()).decode()}]}).encode()
    with served(folder, "run/package") as url:
        said = [
            ask(url, image.read_bytes(), "image/png"),
            ask(url, coded, "application/json"),
            ask(url, form, "multipart/form-data; boundary=b"),
        ]
        checked = penjing(folder, "verify", "run/package", "--url", url, "--rows", "digits")
    assert [answer["label"] for answer in said] == [expected] * 3
    assert len({answer["score"] for answer in said}) == 1
    assert checked.returncode == 0, checked.stderr
    assert "256 of 256 rows the same" in checked.stdout


def test_every_image_of_a_folder_is_answered_and_none_is_written_out(folder: Path, report: dict[str, Any]) -> None:
    done = penjing(folder, "predict", "run/package", "digits/digit-3", "-o", "answers.csv")
    assert done.returncode == 0, done.stderr
    with (folder / "answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    assert len(answers) == len(list((folder / "digits" / "digit-3").iterdir()))
    assert sum(answer["label"] == "digit-3" for answer in answers) > 0.9 * len(answers)
    assert "PNG" not in (folder / "answers.csv").read_text()


def test_the_preset_for_medicine_splits_by_patient_and_demands_calibration(folder: Path) -> None:
    asked = ["run", "scans", "--target", "finding", "--preset", "medical-images", "--tier", "pixel-linear", "--run", "scans-run"]
    done = penjing(folder, *asked)
    assert done.returncode == 0, done.stderr
    splits = {split: pq.read_table(folder / "scans-run" / "prepare" / f"{split}.parquet") for split in ("train", "validation", "calibration", "test")}
    patients = [set(table.column("patient").to_pylist()) for table in splits.values() if table.num_rows]
    assert len(set.union(*patients)) == sum(map(len, patients)) > 290
    report = json.loads((folder / "scans-run" / "package" / "report.json").read_text())
    assert "patient" not in report["columns"]
    demanded = {gate["name"]: gate for gate in report["gates"]}
    assert demanded["calibration_error"]["limit"]["at_most"] == 0.05
    closed = penjing(folder, *asked, "--set", "release.calibration_error.at_most=0.0001")
    assert closed.returncode == 3, closed.stderr


def test_the_preset_asks_for_the_patient_where_no_column_says_who_it_is(folder: Path) -> None:
    refused = penjing(folder, "run", "digits", "--target", "label", "--preset", "medical-images", "--run", "no-patient")
    assert refused.returncode == 2
    assert "'patient'" in refused.stderr
