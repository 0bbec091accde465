"""From a body to rows, by its content-type."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import jsonschema
import pytest

from penjing.core.types import Row
from penjing.stages.serve.bodies import BadBody, rows_in
from penjing.stages.serve.schema import bodies_of, row_schema

PNG = b"\x89PNG\r\n\x1a\n\xff\x00"
IMAGE: Row = {"image": PNG}
PATIENT: Row = {"scan": PNG, "age": 39.0, "smoker": True, "note": "an example text"}
REVIEW: Row = {"review": "an example text"}


def form(example: Row, **given: Any) -> list[Row]:
    request = httpx.Request("POST", "http://server", **given)
    return rows_in(request.read(), request.headers["content-type"], example)


def test_a_form_with_one_column_has_as_many_rows_as_fields() -> None:
    files = [("image", ("a.png", PNG)), ("other", ("b.png", b"no")), ("image", ("c.png", b"second"))]
    assert form(IMAGE, files=files) == [{"image": PNG}, {"image": b"second"}]
    assert form(REVIEW, files=[("review", (None, "one")), ("review", (None, "two"))]) == [{"review": "one"}, {"review": "two"}]


def test_a_form_with_several_columns_is_one_row() -> None:
    fields = {"age": "41", "smoker": "no", "note": "", "id": "7"}
    assert form(PATIENT, data=fields, files={"scan": ("a.png", PNG)}) == [{"scan": PNG, "age": "41", "smoker": "no", "note": ""}]


def test_a_typed_field_for_a_file_is_base64() -> None:
    assert form(IMAGE, files={"image": (None, base64.b64encode(PNG))}) == [{"image": PNG}]


def test_a_text_in_a_file_is_a_text() -> None:
    assert form(REVIEW, files={"review": ("review.txt", "schön".encode())}) == [{"review": "schön"}]


BAD_FORMS: dict[str, tuple[Row, dict[str, Any], str]] = {
    "a missing column": (PATIENT, {"data": {"age": "41"}, "files": {"scan": ("a", PNG)}}, "Row 1 has no column 'smoker'. There is: age, scan."),
    "no column at all": (IMAGE, {"files": {"imgae": ("a", PNG)}}, "Row 1 has no column 'image'. Did you mean 'imgae'?"),
    "a repeated column": (
        PATIENT,
        {"files": [("scan", ("a", PNG)), ("scan", ("b", PNG))]},
        "The form has more than one field 'scan', and it is one row. Send several rows as JSON.",
    ),
    "no number": (PATIENT, {"data": {"age": "old", "smoker": "no", "note": ""}, "files": {"scan": ("a", PNG)}}, "column 'age' is 'old'"),
    "an empty file": (IMAGE, {"files": [("image", ("a", PNG)), ("image", ("b", b""))]}, "Row 2: column 'image' is an empty file"),
    "bytes for a text": (REVIEW, {"files": {"review": ("a", b"\xff")}}, "Row 1: column 'review' is not UTF-8 (byte 0)"),
}


@pytest.mark.parametrize("how", BAD_FORMS)
def test_a_bad_form_gets_one_sentence(how: str) -> None:
    example, given, told = BAD_FORMS[how]
    with pytest.raises(BadBody) as refused:
        form(example, **given)
    assert refused.value.status == 422
    assert told in str(refused.value)


def test_what_is_no_form_is_400() -> None:
    with pytest.raises(BadBody, match="The form cannot be read: it ends before its last boundary. Send .* fields named 'image'") as refused:
        rows_in(b"", "multipart/form-data; boundary=b", IMAGE)
    assert refused.value.status == 400


@pytest.mark.parametrize("kind", ["image/png", "image/x-anything; q=1", "APPLICATION/Octet-Stream"])
def test_a_file_by_itself_is_one_row_where_a_row_is_one_file(kind: str) -> None:
    assert rows_in(PNG, kind, IMAGE) == [IMAGE]


def test_a_file_by_itself_is_no_row_of_several_columns() -> None:
    with pytest.raises(BadBody, match="The body is image/png, and a row needs: 'scan', 'age', 'smoker', 'note'") as refused:
        rows_in(PNG, "image/png", PATIENT)
    assert refused.value.status == 415
    assert rows_in(json.dumps({"rows": [REVIEW]}).encode(), "application/octet-stream", REVIEW) == [REVIEW]


def test_a_file_sent_as_json_is_told_how_to_send_it() -> None:
    with pytest.raises(BadBody, match="not UTF-8 .* or the file itself with its own content-type"):
        rows_in(PNG, "application/x-www-form-urlencoded", IMAGE)


def test_no_json_becomes_the_name_of_a_file_on_the_server() -> None:
    for value in ("/etc/passwd", "file:///etc/passwd", "@/etc/passwd", {"path": "/etc/passwd"}):
        with pytest.raises(BadBody):
            rows_in(json.dumps({"rows": [{"image": value}]}).encode(), "", IMAGE)


@pytest.mark.parametrize("example", [IMAGE, PATIENT, REVIEW, {"anything": None, "count": 3}])
def test_the_schema_holds_of_a_row_like_the_example(example: Row) -> None:
    schema = bodies_of(example)["application/json"]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(schema["example"], schema)
    jsonschema.validate({"rows": [row_schema(example)["example"] | {"more": 1}]}, schema)
    for column, value in {"image": 3, "age": [1], "smoker": {}, "review": []}.items():
        if column in example:
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"rows": [schema["example"]["rows"][0] | {column: value}]}, schema)


def test_only_a_row_of_one_file_is_described_as_a_file() -> None:
    assert set(bodies_of(IMAGE)) == {"application/json", "application/x-ndjson", "multipart/form-data", "image/*", "application/octet-stream"}
    assert set(bodies_of(PATIENT)) == {"application/json", "application/x-ndjson", "multipart/form-data"}
    assert row_schema(PATIENT)["properties"]["scan"] == {"type": "string", "contentEncoding": "base64"}
