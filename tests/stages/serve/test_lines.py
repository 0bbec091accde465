"""A stream of rows over a real connection: answered in order, line by line, while it comes in."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

Start = Callable[..., Any]
HEADERS = {"content-type": "application/x-ndjson"}


def line(text: str) -> bytes:
    return json.dumps({"review": text}).encode() + b"\n"


def asked(server: Any, body: bytes | Iterator[bytes], **headers: str) -> list[dict[str, Any]]:
    with httpx.stream("POST", f"{server.url}/v1/predict", content=body, headers={**HEADERS, **headers}, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(told) for told in answer.iter_lines()]


def test_lines_are_answered_in_order_as_rows_are(running: Any) -> None:
    texts = [f"fine {'x ' * (i % 9)}" for i in range(500)]
    expected = running.predict(*texts).json()["predictions"]
    found = asked(running, b"".join(map(line, texts)))
    assert found == [{"line": i, "prediction": prediction} for i, prediction in enumerate(expected, 1)]


def test_a_line_that_cannot_be_answered_is_told_by_its_number_and_the_others_are_answered(start: Start) -> None:
    server = start(max_body_mb=0.001)
    bad = {
        2: (b'{"review": \n', 400, "not JSON"),
        4: (b'{"review": "\xff"}\n', 400, "not UTF-8"),
        5: (b'{"rating": 1}\n', 422, "The row has no column 'review'"),
        7: (line("x" * 2000), 413, "The line is longer than 0.001 MB"),
        8: (b"[]\n", 422, "The row is a list"),
        9: (line(""), 500, "the server's log says why"),
    }
    body = b"".join(bad[i][0] if i in bad else line(f"good {i}") for i in range(1, 12))
    found = asked(server, body.rstrip(b"\n"))
    assert [told["line"] for told in found] == list(range(1, 12))
    for told in found:
        if told["line"] in bad:
            _, status, why = bad[told["line"]]
            assert told["problem"]["status"] == status
            assert why in told["problem"]["detail"]
        else:
            assert told["prediction"]["label"]


def test_empty_lines_are_counted_and_not_answered(running: Any) -> None:
    assert [told["line"] for told in asked(running, b"\n" + line("a") + b"\r\n\n" + line("b"))] == [2, 5]
    assert asked(running, b"") == []


def test_chunks_may_end_anywhere(running: Any) -> None:
    body = b"".join(line(f"很好 {i}") for i in range(20))
    whole = asked(running, body)
    assert asked(running, (body[i : i + 7] for i in range(0, len(body), 7))) == whole


def test_an_answer_comes_before_the_next_line_is_sent(running: Any) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        heard = connection.makefile("rb")
        for text in ("one", "two"):
            sent = line(text)
            connection.sendall(f"{len(sent):x}\r\n".encode() + sent + b"\r\n")
            while b"prediction" not in heard.readline():
                pass
        connection.sendall(b"0\r\n\r\n")


def test_a_stream_is_patient_where_a_request_would_be_refused(start: Start) -> None:
    server = start(queue_rows=2, max_rows=2)
    found = asked(server, b"".join(line(f"good {i}") for i in range(50)))
    assert [told["line"] for told in found if "prediction" in told] == list(range(1, 51))


def test_a_stream_reads_no_further_than_it_can_answer(start: Start) -> None:
    server = start(max_rows=2)
    server.engine.go.clear()
    sent = 0

    def lines() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield line("x" * 50_000)

    thread = threading.Thread(target=lambda: asked(server, lines()))
    thread.start()
    assert server.engine.entered.wait(10)
    time.sleep(1.0)
    assert sent < 150, "what lies in sockets' buffers and in the window, and no more"
    server.engine.go.set()
    thread.join(60)
    assert sent == 200


def test_what_a_stream_is_answered_is_counted(start: Start) -> None:
    server = start()
    asked(server, line("a") + b"?\n" + line("b"))
    text = server.get("/metrics").text
    for told in ('penjing_lines_total{status="200"} 2.0', 'penjing_lines_total{status="400"} 1.0', 'penjing_rows_total{tier="linear"} 2.0'):
        assert told in text


def test_nothing_more_is_computed_for_a_stream_whose_client_has_gone(start: Start) -> None:
    server = start(max_rows=1)
    server.engine.go.clear()
    body = b"".join(line(f"good {i}") for i in range(2))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/predict", content=body, headers=HEADERS, timeout=0.5)
    for _ in range(1000):
        if "penjing_queue_rows 1.0" not in server.get("/metrics").text or not server.engine.entered.is_set():
            break
        time.sleep(0.01)
    time.sleep(0.2)
    server.engine.go.set()
    assert server.predict("last").status_code == 200
    assert len(server.engine.batches) == 2
