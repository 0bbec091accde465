"""Proves a package: its seal, and, on rows of the user's own, that a running server answers exactly as the package does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penjing.core.data import read
from penjing.core.errors import BadRequest, RunFailed
from penjing.core.protocols import Signer
from penjing.core.types import Prediction, Row
from penjing.package.open import Package, open_package
from penjing.stages.predict import require

CHUNK = 32
ROWS = 256


@dataclass(frozen=True, slots=True)
class Served:
    """How a server's answers compare with the package's own."""

    rows: int
    same: int
    """Rows whose answer is the same, scores left aside."""
    largest_difference: float
    """Of any score."""


def verify(folder: Path, signer: Signer) -> Package:
    """Return the package, whose signature and digests hold. Raises Refused."""
    return open_package(folder, signer)


def compare_served(package: Package, url: str, source: Path) -> Served:
    """Ask the server at `url` the first rows of `source` and compare its answers with the package's own."""
    tier = package.tier()
    rows = _first(source)
    require(tier, rows[0], str(source))
    asked = [{column: row[column] for column in tier.task.example} for row in rows]
    theirs = [answer for start in range(0, len(asked), CHUNK) for answer in _ask(url, asked[start : start + CHUNK])]
    ours = tier.predict(rows)
    pairs = list(zip(ours, theirs, strict=True))
    same = sum(_answer(a) == _answer(b) for a, b in pairs)
    return Served(len(rows), same, max(abs(_figure(a) - _figure(b)) for a, b in pairs))


def _first(source: Path) -> list[Row]:
    rows: list[Row] = []
    for chunk in read(source):
        rows += chunk
        if len(rows) >= ROWS:
            break
    if not rows:
        raise BadRequest(f"{source} has no rows to ask.")
    return rows[:ROWS]


def _ask(url: str, rows: Sequence[Row]) -> list[Prediction]:
    body = json.dumps({"rows": rows}, default=str).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}/v1/predict", body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            predictions: list[Prediction] = json.load(answer)["predictions"]
            return predictions
    except urllib.error.HTTPError as error:
        raise RunFailed(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:300]}") from error
    except OSError as error:
        raise RunFailed(f"{url} does not answer ({error}). Is the server running? Start it with: penjing serve PACKAGE") from error


def _figure(prediction: Prediction) -> float:
    return float(prediction["score"] if "score" in prediction else prediction["value"])


def _answer(prediction: Prediction) -> str:
    """Return what must be the same: everything but figures."""
    return json.dumps({k: v for k, v in prediction.items() if isinstance(v, str | list)}, sort_keys=True)
