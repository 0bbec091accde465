"""Reading a multipart/form-data body."""

from __future__ import annotations

import secrets

import httpx
import pytest

from penjing.stages.serve.forms import BadForm, fields_in

BINARY = bytes(range(256)) + b"\r\n--not the boundary\r\n\r\n--" + secrets.token_bytes(1000)


def sent(**form: object) -> tuple[bytes, str]:
    """Return the body and the content-type that a client sends."""
    request = httpx.Request("POST", "http://server", **form)  # type: ignore[arg-type]
    return request.read(), request.headers["content-type"]


def test_fields_come_in_their_order_with_every_byte() -> None:
    files = [("image", ("cat.png", BINARY, "image/png")), ("image", ('ünï "q".png', b"", "image/png"))]
    body, kind = sent(data={"größe": "39", "note": "two\r\nlines"}, files=files)
    fields = fields_in(body, kind)
    assert [(f.name, bytes(f.content), f.is_file) for f in fields] == [
        ("größe", b"39", False),
        ("note", b"two\r\nlines", False),
        ("image", BINARY, True),
        ("image", b"", True),
    ]


def by_hand(*parts: str, end: str = "--b--\r\n") -> bytes:
    return "".join(f"--b\r\n{part}\r\n" for part in parts).encode() + end.encode()


def test_a_part_of_a_type_that_is_no_text_is_a_file_without_a_filename_too() -> None:
    body = by_hand(
        'Content-Disposition: form-data; name="image"\r\nContent-Type: image/png\r\n\r\nx', 'content-disposition: form-data; name="n"\r\n\r\ny'
    )
    assert [f.is_file for f in fields_in(body, "multipart/form-data; boundary=b")] == [True, False]


def test_a_part_without_a_name_has_none() -> None:
    [one] = fields_in(by_hand("Content-Type: text/plain\r\n\r\nx"), "multipart/form-data; boundary=b")
    assert one.name is None


GOOD = 'Content-Disposition: form-data; name="n"\r\n\r\nx'


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (by_hand(GOOD), "multipart/form-data", "names no boundary"),
        (by_hand(GOOD), "multipart/form-data; boundary=other", "boundary"),
        (by_hand(GOOD), f"multipart/form-data; boundary={'b' * 300}", "Boundary length 300"),
        (by_hand(GOOD, end=""), "multipart/form-data; boundary=b", "ends before its last boundary"),
        (by_hand(GOOD, GOOD)[:-20], "multipart/form-data; boundary=b", "ends before its last boundary"),
        (by_hand(*[GOOD] * 4097), "multipart/form-data; boundary=b", "more than 4,096 fields"),
        (b"", "multipart/form-data; boundary=b", "ends before its last boundary"),
        (by_hand("no header\r\n\r\nx"), "multipart/form-data; boundary=b", "invalid character"),
        (by_hand(f"a: {'x' * 10_000}\r\n\r\nx"), "multipart/form-data; boundary=b", "Maximum header size"),
        (by_hand("\r\n".join(f"a{n}: b" for n in range(99)) + "\r\n\r\nx"), "multipart/form-data; boundary=b", "Maximum header count"),
    ],
)
def test_what_is_no_form_is_told(body: bytes, kind: str, told: str) -> None:
    with pytest.raises(BadForm, match=told):
        fields_in(body, kind)
