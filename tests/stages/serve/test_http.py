"""The HTTP API, asked over a real socket."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx
import pytest

from penjing.core.tier import packed

Start = Callable[..., Any]


def test_many_clients_get_the_right_answers_each(running: Any) -> None:
    server = running
    texts = [" ".join(f"word{n}-{i}" for i in range(n % 17 + 1)) for n in range(200)]
    expected = [server.tier.predict([{"review": text}])[0] for text in texts]
    with httpx.Client(base_url=server.url, timeout=30) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: client.post("/v1/predict", json={"rows": [{"review": text}]}).json(), texts))
    for answer, want in zip(answers, expected, strict=True):
        assert answer["predictions"][0]["label"] == want["label"]
        assert answer["predictions"][0]["score"] == pytest.approx(want["score"], abs=1e-6)
        assert answer["predictions"][0]["tier"] == "linear"


def test_a_request_of_many_rows_is_answered_in_order(running: Any) -> None:
    server = running
    texts = [" ".join(map(str, range(n))) for n in range(1, 201)]
    scores = [p["scores"]["good"] for p in server.predict(*texts).json()["predictions"]]
    assert scores == sorted(scores)
    assert len(scores) == 200


def test_no_rows_get_no_predictions(running: Any) -> None:
    assert running.predict().json() == {"predictions": []}


def test_other_fields_are_ignored(running: Any) -> None:
    server = running
    given = {"rows": [{"review": "fine", "rating": "good", "id": 7}], "comment": "hello"}
    answer = httpx.post(f"{server.url}/v1/predict", json=given)
    assert answer.json() == server.predict("fine").json()


def test_numbers_and_missing_values_count_as_in_training(start: Start) -> None:
    server = start(columns=("review", "age"))
    answers = httpx.post(f"{server.url}/v1/predict", json={"rows": [{"review": "fine", "age": age} for age in (42, "42", None)]}).json()[
        "predictions"
    ]
    assert answers[0] == answers[1]
    assert answers[2]["score"] != answers[0]["score"]


BAD: dict[str, tuple[bytes, int, str]] = {
    "not JSON": (b"rows=1", 400, "The body is not JSON: Expecting value"),
    "nothing": (b"", 400, "The body is not JSON"),
    "not UTF-8": (b'{"rows": [{"review": "\xff"}]}', 400, "not UTF-8 (byte 22)"),
    "a number that JSON does not have": (b'{"rows": [{"review": NaN}]}', 400, "NaN is not a JSON number"),
    "a thousand brackets": (b"[" * 100_000, 400, "The body is not JSON"),
    "a list": (b"[]", 422, 'an object with a list called "rows"'),
    "no rows": (b'{"row": {}}', 422, 'an object with a list called "rows"'),
    "a row that is a text": (b'{"rows": ["fine"]}', 422, "Row 1 is text, not an object"),
    "a missing column": (b'{"rows": [{"review": "a"}, {"reveiw": "b"}]}', 422, "Row 2 has no column 'review'. Did you mean 'reveiw'?"),
    "an empty row": (b'{"rows": [{}]}', 422, "Row 1 has no column 'review'. It is empty."),
    "a list for a text": (b'{"rows": [{"review": ["a"]}]}', 422, "column 'review' is a list, not text"),
    "half a character": (b'{"rows": [{"review": "a\\ud83d"}]}', 422, "half a character (a lone surrogate) at 1"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_body_gets_one_sentence(how: str, running: Any) -> None:
    body, status, told = BAD[how]
    answer = httpx.post(f"{running.url}/v1/predict", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert told in answer.json()["detail"]


def test_a_problem_points_at_the_field_that_is_to_blame(running: Any) -> None:
    answer = httpx.post(f"{running.url}/v1/predict", json={"rows": [{"review": "a"}, {"review": ["b"]}]}).json()
    assert answer == {
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "Row 2: column 'review' is a list, not text. Put it in quotation marks.",
        "pointer": "/rows/1/review",
    }
    nothing = httpx.post(f"{running.url}/v1/predict", content=b"?").json()
    assert sorted(nothing) == ["detail", "status", "title"]


def test_whole_characters_of_any_script_are_answered(running: Any) -> None:
    body = b'{"rows": [{"review": "\\ud83d\\ude00 \\u5f88\\u597d"}]}'
    assert httpx.post(f"{running.url}/v1/predict", content=body).status_code == 200


def test_the_engines_failure_fails_its_own_request_and_hides_its_details(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    server = start()
    answer = server.predict("")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret details of the engine" in caplog.text
    assert server.predict("fine").status_code == 200


@pytest.mark.changes("serve.max_body_mb")
def test_a_body_that_is_too_long_is_refused_announced_or_not(start: Start) -> None:
    server = start(max_body_mb=0.001)
    assert server.predict("x" * 900).status_code == 200
    answer = server.predict("x" * 1000)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "The body is longer than 0.001 MB. Send fewer rows at a time, or smaller ones."
    streamed = httpx.post(f"{server.url}/v1/predict", content=(b"x" * 100 for _ in range(20)))
    assert streamed.status_code == 413
    assert start(max_body_mb=0.01).predict("x" * 1000).status_code == 200


@pytest.mark.changes("serve.queue_rows")
def test_a_request_larger_than_the_queue_is_refused(start: Start) -> None:
    answer = start(queue_rows=2).predict("a", "b", "c")
    assert answer.status_code == 413
    assert "3 rows; at most 2 fit" in answer.json()["detail"]
    assert start(queue_rows=3).predict("a", "b", "c").status_code == 200


def test_a_full_queue_is_503_with_the_time_to_ask_again(start: Start) -> None:
    server = start(queue_rows=1)
    server.engine.go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.predict, "first")
        assert server.engine.entered.wait(10)
        second = pool.submit(server.predict, "second")
        server.until_waiting(1)
        refused = server.predict("third")
        server.engine.go.set()
        assert first.result().status_code == second.result().status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "busy" in refused.json()["detail"]


@pytest.mark.changes("serve.timeout_ms")
def test_an_answer_that_nobody_would_need_any_more_is_not_computed(start: Start) -> None:
    answer = start(timeout_ms=1e-6).predict("a")
    assert answer.status_code == 503
    assert "too late" in answer.json()["detail"]
    patient = start()
    assert patient.predict("a").status_code == 200
    hurried = httpx.post(f"{patient.url}/v1/predict", json={"rows": [{"review": "a"}]}, headers={"penjing-timeout-ms": "0.00001"})
    assert hurried.status_code == 503
    assert int(hurried.headers["retry-after"]) >= 1


def test_who_asks_much_is_told_so_where_others_wait(start: Start) -> None:
    server = start(queue_rows=2)
    server.engine.go.clear()

    def ask(tenant: str) -> httpx.Response:
        return httpx.post(f"{server.url}/v1/predict", json={"rows": [{"review": tenant}]}, headers={"penjing-tenant": tenant}, timeout=120)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, "much")
        assert server.engine.entered.wait(10)
        crowd = [pool.submit(ask, "much") for _ in range(2)]
        server.until_waiting(2)
        other = pool.submit(ask, "little")
        refused = next(as_completed(crowd)).result()
        server.engine.go.set()
        assert first.result().status_code == other.result().status_code == 200
    assert refused.status_code == 429
    assert "others ask less" in refused.json()["detail"]


@pytest.mark.parametrize(("header", "value"), [("penjing-priority", "soon"), ("penjing-priority", "10"), ("penjing-priority", "0.5"),
                                               ("penjing-timeout-ms", "0"), ("penjing-timeout-ms", "nan"), ("penjing-timeout-ms", "1s")])  # fmt: skip
def test_a_header_that_says_nothing_is_refused(running: Any, header: str, value: str) -> None:
    answer = httpx.post(f"{running.url}/v1/predict", json={"rows": [{"review": "a"}]}, headers={header: value})
    assert answer.status_code == 400
    assert f"The header {header} is {value!r}. Send" in answer.json()["detail"]


def test_nothing_is_computed_for_a_client_that_has_gone(start: Start) -> None:
    server = start()
    server.engine.go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.predict, "first")
        assert server.engine.entered.wait(10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/predict", json={"rows": [{"review": "a"}, {"review": "b"}]}, timeout=0.5)
        for _ in range(1000):
            if 'status="499"' in server.get("/metrics").text:
                break
            time.sleep(0.01)
        server.engine.go.set()
        assert first.result().status_code == 200
    assert server.predict("last").status_code == 200
    assert server.engine.batches == [1, 1]


@pytest.mark.changes("serve.max_rows")
def test_no_batch_is_larger_than_max_rows(start: Start) -> None:
    for limit, batches in {4: [4, 4, 2], 5: [5, 5]}.items():
        server = start(max_rows=limit)
        server.predict(*map(str, range(10)))
        assert server.engine.batches == batches


def test_the_model_tells_what_it_is(running: Any) -> None:
    server = running
    model = server.get("/v1/model").json()
    task = packed("tasks", server.tier.task)
    assert model["columns"] == ["review"]
    assert (model["name"], model["tier"], model["task"], model["target"]) == ("reviews", "linear", task["name"], "rating")
    assert (model["model"], model["signed_by"]) == ("abc123", "mei (0123456789abcdef)")
    assert server.predict(model["example"]["review"]).status_code == 200


def test_health_is_told(running: Any) -> None:
    server = running
    assert server.get("/health/live").json() == {"status": "live"}
    assert server.get("/health/ready").json() == {"status": "ready"}


def test_metrics_count_what_happened(start: Start) -> None:
    server = start()
    server.predict("a", "b")
    server.predict("c")
    httpx.post(f"{server.url}/v1/predict", content=b"?")
    answer = server.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in (
        'penjing_requests_total{status="200"} 2.0',
        'penjing_requests_total{status="400"} 1.0',
        'penjing_errors_total{status="400"} 1.0',
        'penjing_rows_total{tier="linear"} 3.0',
        "penjing_request_seconds_count 3.0",
        "penjing_batch_rows_count 2.0",
        "penjing_batch_rows_sum 3.0",
        "penjing_queue_rows 0.0",
        'penjing_model_info{model="abc123",name="reviews",tier="linear"} 1.0',
    ):
        assert line in answer.text


def test_two_servers_in_one_process_do_not_mix_their_figures(start: Start) -> None:
    first, second = start(), start()
    first.predict("a")
    assert "penjing_rows_total{" not in second.get("/metrics").text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/v1/predict", 405), ("GET", "/redoc", 404)])
def test_a_wrong_address_is_told_where_to_look(running: Any, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, running.url + path)
    assert answer.status_code == status
    assert answer.json()["detail"].endswith("See /docs for what there is.")


def test_the_openapi_document_is_true(running: Any) -> None:
    server = running
    document = server.get("/openapi.json").json()
    predict = document["paths"]["/v1/predict"]["post"]
    body = predict["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["rows"]["items"]["required"] == ["review"]
    answer = httpx.post(f"{server.url}/v1/predict", json=body["example"])
    assert answer.json() == predict["responses"]["200"]["content"]["application/json"]["example"]
    stream = predict["requestBody"]["content"]["application/x-ndjson"]["schema"]["example"]
    answer = httpx.post(f"{server.url}/v1/predict", content=json.dumps(stream), headers={"content-type": "application/x-ndjson"})
    assert answer.json() == predict["responses"]["200"]["content"]["application/x-ndjson"]["example"]
    assert {"200", "400", "413", "415", "422", "429", "500", "503"} == set(predict["responses"])
    for path, operations in document["paths"].items():
        assert "get" not in operations or server.get(path.format(name="reviews")).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_elsewhere_and_forbids_it(running: Any, path: str) -> None:
    answer = running.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.findall(r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//", answer.text)
    assert "import(" not in answer.text
    assert "innerHTML" not in answer.text


def test_the_docs_show_every_operation_with_a_request_that_works(start: Start) -> None:
    server = start(columns=("review", "it's <b>"))
    text = server.get("/docs").text
    for path in json.loads(server.get("/openapi.json").text)["paths"]:
        assert f" {path}</code>" in text
    assert f"curl {server.url}/v1/predict" in text
    assert "<b>" not in text
