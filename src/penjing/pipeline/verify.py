"""Proves a package: its seal, and, on rows of the user's own, that a running server answers exactly as the package does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core.data import read
from penjing.core.errors import BadRequest, RunFailed
from penjing.core.paired import Paired, paired
from penjing.core.protocols import Signer, Task
from penjing.core.types import Prediction, Row
from penjing.package.open import Package, open_package
from penjing.stages.predict import require
from penjing.stages.serve.values import as_json

CHUNK, CHUNK_BYTES = 32, 1_000_000
ROWS = 256
CLOSE = 1e-3
"""Difference of a score that the size of a batch may make; what is beyond is another model."""


@dataclass(frozen=True, slots=True)
class Served:
    """How a server's answers compare with the package's own."""

    rows: int
    same: int
    """Rows whose answer is the same, scores left aside."""
    largest_difference: float
    """Of any score."""
    score: Paired | None
    """How much better the server does than the package, a row; None where the rows have no targets."""
    cause: str | None
    """What differs first, where something does."""

    @property
    def holds(self) -> bool:
        return self.same == self.rows and self.largest_difference <= CLOSE


def verify(folder: Path, signer: Signer) -> Package:
    """Return the package, whose signature and digests hold. Raises Refused."""
    return open_package(folder, signer)


def compare_served(package: Package, url: str, source: Path) -> Served:
    """Ask the server at `url` the first rows of `source` and compare its answers with the package's own."""
    predictor = package.predictor()
    rows = _first(source)
    require(predictor, rows[0], str(source))
    asked = [{column: row[column] for column in predictor.task.example} for row in rows]
    theirs = [answer for some in _pieces(asked) for answer in _ask(url, some)]
    ours = predictor.predict(rows)
    pairs = list(zip(ours, theirs, strict=True))
    same = [_answer(a) == _answer(b) for a, b in pairs]
    largest = max(abs(_figure(a) - _figure(b)) for a, b in pairs)
    cause = None if all(same) and largest <= CLOSE else _cause(package, predictor.name, url, rows, pairs, same)
    return Served(len(rows), sum(same), largest, _score(predictor.task, rows, pairs, same), cause)


def _score(task: Task, rows: Sequence[Row], pairs: Sequence[tuple[Prediction, Prediction]], same: Sequence[bool]) -> Paired | None:
    """Return the paired difference in the task's first score, row by row; only rows whose answers differ have one."""
    if any(row.get(task.target) is None for row in rows):
        return None
    ours, theirs = np.ones(len(rows)), np.ones(len(rows))
    for i in map(int, np.flatnonzero(~np.array(same))):
        ours[i], theirs[i] = (task.score([prediction], [rows[i]])[0].value for prediction in pairs[i])
    return paired(theirs, ours)


def _cause(package: Package, name: str, url: str, rows: Sequence[Row], pairs: Sequence[tuple[Prediction, Prediction]], same: Sequence[bool]) -> str:
    """Return what differs first: the model, what of it answers, the columns it reads, or else the first row."""
    about = _get(url, "/v1/model")
    wanted = {"model": package.manifest.model, "tier": name, "columns": list(package.predictor().task.example)}
    for key, value in wanted.items():
        if about.get(key) != value:
            return f"the server's {key} is {_short(about.get(key))}, the package's {_short(value)}"
    first = int(np.argmin(same)) if not all(same) else int(np.argmax([abs(_figure(a) - _figure(b)) for a, b in pairs]))
    return f"model and tier are the same, and row {first + 1} is answered otherwise: what stands between, such as a proxy, changes rows or answers"


def _short(value: object) -> str:
    return repr(value[:12] if isinstance(value, str) and len(value) == 64 else value)


def _first(source: Path) -> list[Row]:
    rows: list[Row] = []
    for chunk in read(source):
        rows += chunk
        if len(rows) >= ROWS:
            break
    if not rows:
        raise BadRequest(f"{source} has no rows to ask.")
    return rows[:ROWS]


def _pieces(rows: Sequence[Row]) -> Iterator[bytes]:
    """Yield bodies of some rows each: few enough for any server, and one alone where rows are large."""
    piece: list[str] = []
    for row in rows:
        told = json.dumps({name: as_json(value) if isinstance(value, bytes | Path) else value for name, value in row.items()}, default=str)
        if piece and (len(piece) == CHUNK or sum(map(len, piece)) + len(told) > CHUNK_BYTES):
            yield _body(piece)
            piece = []
        piece.append(told)
    if piece:
        yield _body(piece)


def _body(rows: Sequence[str]) -> bytes:
    return f'{{"rows": [{", ".join(rows)}]}}'.encode()


def _ask(url: str, body: bytes) -> list[Prediction]:
    request = urllib.request.Request(f"{url.rstrip('/')}/v1/predict", body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            predictions: list[Prediction] = json.load(answer)["predictions"]
            return predictions
    except urllib.error.HTTPError as error:
        raise RunFailed(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:300]}") from error
    except OSError as error:
        raise RunFailed(f"{url} does not answer ({error}). Is the server running? Start it with: penjing serve PACKAGE") from error


def _get(url: str, path: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}{path}", timeout=60) as answer:  # noqa: S310
            about: dict[str, Any] = json.load(answer)
            return about
    except (OSError, ValueError):
        return {}


def _figure(prediction: Prediction) -> float:
    return float(prediction["score"] if "score" in prediction else prediction["value"])


def _answer(prediction: Prediction) -> str:
    """Return what must be the same: everything but figures."""
    told = {k: v for k, v in prediction.items() if isinstance(v, str) or (isinstance(v, list) and all(isinstance(one, str) for one in v))}
    return json.dumps(told, sort_keys=True)
