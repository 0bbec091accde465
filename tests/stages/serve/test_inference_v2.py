"""The Open Inference Protocol over a real connection: asked in JSON, in raw tensors, and by Triton's own client."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

Start = Callable[..., Any]
TEXTS = ["fine", "not so good at all", "很好"]


def tensor(values: list[Any], name: str = "review", datatype: str = "BYTES", **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values, **more}


def infer(server: Any, *inputs: dict[str, Any], path: str = "/v2/models/reviews/infer", **more: Any) -> httpx.Response:
    return httpx.post(server.url + path, json={"inputs": list(inputs), **more}, timeout=60)


def outputs(answer: httpx.Response) -> dict[str, list[Any]]:
    assert answer.status_code == 200, answer.text
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_tensors_are_answered_as_rows_are(running: Any, shape: list[int]) -> None:
    expected = running.predict(*TEXTS).json()["predictions"]
    answer = infer(running, {**tensor(TEXTS), "shape": shape}, id="seven")
    found = outputs(answer)
    assert found["label"] == [prediction["label"] for prediction in expected]
    assert found["score"] == [prediction["score"] for prediction in expected]
    assert [json.loads(text) for text in found["scores"]] == [prediction["scores"] for prediction in expected]
    told = answer.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("reviews", "abc123", "seven")


def test_the_metadata_are_true(running: Any) -> None:
    told = running.get("/v2/models/reviews").json()
    assert told["inputs"] == [{"name": "review", "datatype": "BYTES", "shape": [-1]}]
    answer = infer(running, tensor(TEXTS)).json()
    assert [(o["name"], o["datatype"]) for o in answer["outputs"]] == [(o["name"], o["datatype"]) for o in told["outputs"]]
    for version in told["versions"]:
        assert running.get(f"/v2/models/reviews/versions/{version}").json() == told
        assert running.get(f"/v2/models/reviews/versions/{version}/ready").json()["ready"]
        assert outputs(infer(running, tensor(TEXTS), path=f"/v2/models/reviews/versions/{version}/infer"))
    assert running.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert running.get("/v2/health/live").json() == {"live": True}
    assert running.get("/v2/health/ready").json() == {"ready": True}


def test_columns_of_any_kind_are_tensors(start: Start) -> None:
    server = start(columns=("review", "age"))
    expected = httpx.post(f"{server.url}/v1/predict", json={"rows": [{"review": "a", "age": 4}, {"review": "b", "age": 5}]}).json()["predictions"]
    found = outputs(infer(server, tensor(["a", "b"]), tensor([4, 5], "age", "INT64")))
    assert found["score"] == [prediction["score"] for prediction in expected]


def test_raw_tensors_are_read_and_told(running: Any) -> None:
    expected = outputs(infer(running, tensor(TEXTS)))
    raw = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in TEXTS)
    asked = {"name": "review", "shape": [3], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    wanted = [{"name": "score", "parameters": {"binary_data": True}}, {"name": "label"}]
    head = json.dumps({"inputs": [asked], "outputs": wanted}).encode()
    answer = httpx.post(f"{running.url}/v2/models/reviews/infer", content=head + raw, headers={"inference-header-content-length": str(len(head))})
    assert answer.status_code == 200
    length = int(answer.headers["inference-header-content-length"])
    score, label = json.loads(answer.content[:length])["outputs"]
    assert score["parameters"]["binary_data_size"] == len(answer.content) - length
    assert np.frombuffer(answer.content[length:], "<f8").tolist() == expected["score"]
    assert label["data"] == expected["label"]


BAD: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "no inputs": ({}, 422, "'inputs' must be a list", "/inputs"),
    "another name": ({"inputs": [tensor(["a"], "reviw")]}, 422, "There is no input 'reviw'. Did you mean 'review'", "/inputs/0/name"),
    "a missing one": ({"inputs": []}, 422, "The input 'review' is missing", "/inputs"),
    "another datatype": ({"inputs": [tensor(["a"], datatype="TEXT")]}, 422, "has datatype 'TEXT'. Use BYTES", "/inputs/0/datatype"),
    "a square": ({"inputs": [{**tensor(["a", "b"]), "shape": [1, 2]}]}, 422, "one value a row", "/inputs/0/shape"),
    "fewer values": ({"inputs": [{**tensor(["a"]), "shape": [2]}]}, 422, "has 1 values, and its shape says 2", "/inputs/0"),
    "no object": ({"inputs": ["a"]}, 422, "An input is an object", "/inputs/0"),
    "an output that is not there": ({"inputs": [tensor(["a"])], "outputs": [{"name": "lable"}]}, 422, "Did you mean 'label'", "/outputs/0"),
    "raw bytes that are not there": (
        {"inputs": [tensor(["a"], parameters={"binary_data_size": 9})]},
        400,
        "said to have 9 raw bytes",
        "/inputs/0/parameters",
    ),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_request_is_told_in_one_sentence(running: Any, how: str) -> None:
    body, status, told, pointer = BAD[how]
    answer = httpx.post(f"{running.url}/v2/models/reviews/infer", json=body)
    assert answer.status_code == status
    problem = answer.json()
    assert told in problem["detail"]
    assert problem["error"] == problem["detail"]
    assert problem.get("pointer") == pointer


BROKEN = {b"\x02\0\0\0a": "ends in the middle of value 1", b"\x01\0\0\0\xff": "value 1, is not UTF-8", b"\x01": "middle"}


@pytest.mark.parametrize("raw", BROKEN)
def test_broken_raw_bytes_are_told(running: Any, raw: bytes) -> None:
    asked = {"name": "review", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [asked]}).encode()
    for sent, length, why in ((head + raw, len(head), BROKEN[raw]), (head, 9999, "and the body has")):
        answer = httpx.post(f"{running.url}/v2/models/reviews/infer", content=sent, headers={"inference-header-content-length": str(length)})
        assert answer.status_code == 400
        assert why in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v2/models/review", "There is no model 'review'. Did you mean 'reviews'"),
        ("/v2/models/reviews/versions/9", "no version '9' of 'reviews'. Version 'abc123' is served"),
    ],
)
def test_another_model_or_version_is_not_there(running: Any, path: str, told: str) -> None:
    for answer in (running.get(path), running.get(f"{path}/ready"), infer(running, tensor(["a"]), path=f"{path}/infer")):
        assert answer.status_code == 404
        assert told in answer.json()["error"]


@pytest.mark.parametrize("binary", [False, True])
def test_tritons_client_is_answered(running: Any, binary: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tritonclient import http
        from tritonclient.utils import InferenceServerException
    expected = outputs(infer(running, tensor(TEXTS)))
    client = http.InferenceServerClient(running.url.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("reviews")
        assert client.get_server_metadata()["name"] == "penjing"
        assert client.get_model_metadata("reviews")["inputs"][0]["name"] == "review"
        asked = http.InferInput("review", [len(TEXTS)], "BYTES")
        asked.set_data_from_numpy(np.array([text.encode() for text in TEXTS], np.object_), binary_data=binary)
        wanted = [http.InferRequestedOutput(name, binary_data=binary) for name in ("label", "score")]
        answer = client.infer("reviews", [asked], outputs=wanted, request_id="7")
        labels = [value.decode() if isinstance(value, bytes) else value for value in answer.as_numpy("label")]
        assert labels == expected["label"]
        assert answer.as_numpy("score").tolist() == expected["score"]
        with pytest.raises(InferenceServerException, match="There is no model 'other'"):
            client.infer("other", [asked])
    finally:
        client.close()
