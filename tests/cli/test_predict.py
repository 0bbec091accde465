"""`penjing predict` of one row or one text, whatever the model reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penjing.cli.main import _verdict
from penjing.core.types import Prediction, Row
from penjing.pipeline.opened import Opened

Call = Callable[..., tuple[int, str, str]]


@dataclass
class Echo:
    """A predictor that remembers the rows it was asked."""

    example: Row
    name: str = "echo"
    asked: list[Row] = field(default_factory=list)

    @property
    def task(self) -> Any:
        return SimpleNamespace(example=self.example, target="label")

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        self.asked += rows
        return [{"label": "good", "score": 0.5, "tier": "echo"} for _ in rows]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Ask a predictor with this example on the command line; returns exit code, what it was asked and what was printed."""

    def ask(example: Row, *arguments: str) -> tuple[int, Any, str]:
        predictor = Echo(example)
        monkeypatch.setattr("penjing.pipeline.opened.opened", lambda *_: Opened(predictor, "echo", "mei", "", "", {}))  # type: ignore[arg-type]
        code = _verdict(["predict", "package", *arguments])
        told = capsys.readouterr()
        return code, predictor.asked, told.out + told.err

    return ask


PERSON: Row = {"age": 39.0, "smoker": True, "town": "Ulm"}
SCAN: Row = {"scan": b"png", "age": 39.0}


def test_a_row_is_read_as_the_server_reads_it(call: Call) -> None:
    code, asked, told = call(PERSON, "--row", '{"age": 41, "smoker": null, "town": "Bonn", "id": 7}')
    assert (code, asked) == (0, [{"age": 41, "smoker": None, "town": "Bonn"}])
    assert json.loads(told) == {"label": "good", "score": 0.5, "tier": "echo"}


def test_a_file_is_named_or_given_in_base64(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\xff")
    code, asked, _ = call(SCAN, "--row", json.dumps({"scan": f"@{tmp_path / 'a.png'}", "age": 3}))
    assert (code, asked) == (0, [{"scan": b"\x89PNG\xff", "age": 3}])
    code, asked, _ = call(SCAN, "--row", json.dumps({"scan": base64.b64encode(b"\xff").decode(), "age": 3}))
    assert (code, asked) == (0, [{"scan": b"\xff", "age": 3}])


def test_an_at_sign_in_a_text_is_a_text(call: Call) -> None:
    assert call({"review": "text"}, "--row", '{"review": "@mei wrote this"}')[1] == [{"review": "@mei wrote this"}]
    assert call({"review": "text"}, "--text", "@mei wrote this")[1] == [{"review": "@mei wrote this"}]


def test_a_text_is_for_a_model_that_reads_one_text(call: Call) -> None:
    for example in (PERSON, SCAN, {"title": "a text", "body": "a text"}, {"age": 39.0}, {"scan": b"png"}):
        code, asked, told = call(example, "--text", "works well")
        assert (code, asked) == (2, [])
        assert "--text is for a model that reads one text" in told
        assert "Use --row" in told


BAD = {
    '{"age": 41}': "Row 1 has no column 'smoker'. There is: age.",
    '{"age": "old", "smoker": true, "town": "Ulm"}': "Row 1: column 'age' is 'old', which is no number",
    "[1]": "Row 1 is a list, not an object.",
    "age=3": "--row is not JSON: Expecting value",
    '{"age": NaN}': "--row is not JSON: NaN is not a JSON number",
}


@pytest.mark.parametrize("row", BAD)
def test_a_bad_row_gets_one_sentence_and_code_2(call: Call, row: str) -> None:
    code, asked, told = call(PERSON, "--row", row)
    assert (code, asked) == (2, [])
    assert told.startswith(f"error: {BAD[row]}")


def test_a_file_that_is_not_there_is_told(call: Call, tmp_path: Path) -> None:
    code, _, told = call(SCAN, "--row", json.dumps({"scan": f"@{tmp_path / 'no.png'}", "age": 3}))
    assert code == 2
    assert f"{tmp_path / 'no.png'} cannot be read: No such file or directory." in told


def test_just_one_of_source_row_and_text_is_asked(call: Call, tmp_path: Path) -> None:
    for arguments in ([], ["--row", "{}", "--text", "x"], [str(tmp_path), "--row", "{}"]):
        code, _, told = call(PERSON, *arguments)
        assert code == 2
        assert "Give one of: a SOURCE file, --row or --text." in told
