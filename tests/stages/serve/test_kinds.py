"""Rows of any kind over HTTP: real tasks and processors of tables and images, and an engine that adds up what it is given."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from penjing.core.tier import Tier
from penjing.core.types import Batch
from penjing.plugins.processors.columns.processor import Columns
from penjing.plugins.processors.pixels.processor import Pixels
from penjing.plugins.tasks.image_classification import ImageClassification
from penjing.plugins.tasks.tabular_classification import TabularClassification
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.run import serving
from penjing.stages.serve.service import Served

LABELS = ["dark", "light"]


@dataclass
class Adder:
    """An engine: the logit of the second label is the mean of the first array, about its middle. It can be held."""

    go: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list)

    def run(self, batch: Batch) -> Batch:
        array = np.asarray(next(iter(batch.values())), np.float64)
        self.batches.append(len(array))
        self.entered.set()
        self.go.wait(60)
        mean_B = np.nanmean(array.reshape(len(array), -1), axis=1) - (127.5 if array.ndim == 4 else 0)
        return {"logits": np.stack([np.zeros_like(mean_B), mean_B / 10], axis=1).astype(np.float32)}

    def work(self, batch: Batch) -> float:
        return 1.0


@dataclass
class Server:
    url: str
    tier: Tier

    def post(self, **given: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/predict", timeout=60, **given)

    def labels(self, **given: Any) -> list[str]:
        answer = self.post(**given)
        assert answer.status_code == 200, answer.text
        return [prediction["label"] for prediction in answer.json()["predictions"]]

    def error(self, status: int, **given: Any) -> str:
        answer = self.post(**given)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        return str(answer.json()["detail"])

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60)


@contextmanager
def started(tier: Tier, **config: Any) -> Iterator[Server]:
    tier.engine.go.set()  # type: ignore[attr-defined]
    with serving(tier, Served("kinds"), ServeConfig(port=0, **config)) as url:
        yield Server(url, tier)


def seeing() -> Tier:
    return Tier("sums", ImageClassification("label", ["photo"], LABELS), Pixels(["photo"], 32), Adder())


PEOPLE = [{"age": str(20 + n), "smoker": ("yes", "no")[n % 2], "town": ("Ulm", "Bonn")[n % 2], "label": LABELS[n > 20]} for n in range(40)]


def counting(reasons: int = 0) -> Tier:
    columns = ["age", "smoker", "town"]
    task = TabularClassification(**TabularClassification.options_from(PEOPLE, "label", columns) | {"reasons": reasons})
    return Tier("sums", task, Columns(**Columns.options_from(PEOPLE, columns, {})), Adder())


@pytest.fixture(scope="module")
def images() -> Iterator[Server]:
    with started(seeing()) as server:
        yield server


@pytest.fixture(scope="module")
def people() -> Iterator[Server]:
    with started(counting(reasons=2)) as server:
        yield server


def picture(grey: int, kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (50, 40), (grey, grey, grey)).save(file, kind)
    return file.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_an_image_is_answered_in_base64_as_a_data_url_in_a_form_and_by_itself(images: Server) -> None:
    light, dark = picture(250), picture(5, "JPEG")
    rows = [{"photo": base64_of(light)}, {"photo": f"data:image/jpeg;base64,{base64_of(dark)}"}]
    assert images.labels(json={"rows": rows}) == ["light", "dark"]
    assert images.labels(files=[("photo", ("l.png", light)), ("photo", ("d.jpg", dark))]) == ["light", "dark"]
    assert images.labels(content=dark, headers={"content-type": "image/jpeg"}) == ["dark"]
    assert images.labels(content=light, headers={"content-type": "application/octet-stream"}) == ["light"]


def test_all_ways_give_the_same_answer_as_the_tier(images: Server) -> None:
    light = picture(140)
    expected = images.tier.predict([{"photo": light}])
    ways: list[dict[str, Any]] = [
        {"json": {"rows": [{"photo": base64_of(light)}]}},
        {"files": {"photo": light}},
        {"content": light, "headers": {"content-type": "image/png"}},
    ]
    for way in ways:
        assert images.post(**way).json()["predictions"] == expected


def test_an_image_that_cannot_be_read_is_named_by_its_row(images: Server) -> None:
    good, bad = base64_of(picture(9)), base64_of(b"just a text")
    assert images.error(422, json={"rows": [{"photo": p} for p in (good, good, bad, good, bad)]}).startswith("Row 3, column 'photo', cannot be read")
    assert images.error(422, content=b"GIF89a", headers={"content-type": "image/gif"}).startswith("Row 1, column 'photo', cannot be read")
    assert images.error(422, json={"rows": [{"photo": good}, {"photo": "§"}]}).startswith("Row 2: column 'photo' is not base64")


def test_a_bad_row_far_behind_in_a_long_request_is_named(images: Server) -> None:
    photos = [base64_of(picture(9))] * 150 + [base64_of(b"just a text")]
    assert images.error(422, json={"rows": [{"photo": p} for p in photos]}).startswith("Row 151, column 'photo'")


def test_the_bad_row_of_one_client_fails_nobody_else() -> None:
    tier = seeing()
    engine: Any = tier.engine
    with started(tier) as server, ThreadPoolExecutor(4) as clients:
        engine.go.clear()
        engine.entered.clear()
        first = clients.submit(server.labels, files={"photo": picture(250)})
        assert engine.entered.wait(60)
        good = clients.submit(server.labels, files={"photo": picture(5)})
        bad = clients.submit(server.error, 422, files={"photo": b"just a text"})
        until_waiting(server, 2)
        engine.batches.clear()
        engine.go.set()
        assert (first.result(), good.result()) == (["light"], ["dark"])
        assert bad.result().startswith("Row 1, column 'photo', cannot be read")


def until_waiting(server: Server, rows: int) -> None:
    for _ in range(2000):
        if f"penjing_queue_rows {float(rows)}\n" in server.get("/metrics").text:
            return
    raise AssertionError(f"there were never {rows} rows waiting")


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=b", "image/png"])
def test_a_file_of_any_form_is_held_to_the_size_of_a_body(kind: str) -> None:
    with started(seeing(), max_body_mb=0.001) as server:
        told = server.error(413, content=b"x" * 1001, headers={"content-type": kind})
        assert told == "The body is longer than 0.001 MB. Send fewer rows at a time, or smaller ones."


def test_the_model_says_what_its_columns_take_and_its_example_works(images: Server, people: Server) -> None:
    for server, takes in ((images, {"photo": "file"}), (people, {"age": "number", "smoker": "boolean", "town": "text"})):
        about = server.get("/v1/model").json()
        assert about["takes"] == takes
        assert about["max_body_mb"] == 8
        assert server.post(json={"rows": [about["example"]]}).status_code == 200


def test_a_table_takes_numbers_texts_of_them_and_missing_values(people: Server) -> None:
    person = {"age": 55, "smoker": True, "town": "Ulm"}
    same = [person, {"age": "55", "smoker": "yes", "town": "Ulm"}]
    answers = people.post(json={"rows": [*same, {"age": None, "smoker": None, "town": None}, {"age": "", "smoker": "", "town": ""}]}).json()[
        "predictions"
    ]
    assert [a["scores"] for a in answers[::2]] == [a["scores"] for a in answers[1::2]]
    assert answers[0]["scores"] != answers[2]["scores"]
    assert people.labels(files={column: (None, str(value)) for column, value in person.items()}) == [answers[0]["label"]]


def test_reasons_come_with_the_answer(people: Server) -> None:
    [answer] = people.post(json={"rows": [{"age": 59, "smoker": False, "town": "Bonn"}]}).json()["predictions"]
    assert answer["reasons"][0]["column"] == "age"
    assert answer["reasons"][0]["effect"] > 0


def test_a_word_for_a_number_is_told_with_row_and_column(people: Server) -> None:
    rows = [{"age": 3, "smoker": True, "town": "Ulm"}, {"age": "old", "smoker": True, "town": "Ulm"}]
    told = people.error(422, json={"rows": rows})
    assert told == "Row 2: column 'age' is 'old', which is no number. Send a number, or null where it is missing."


def test_the_docs_show_a_form_first_where_there_are_files(images: Server, people: Server) -> None:
    text = images.get("/docs").text
    assert text.index("-F photo=@FILE") < text.index("content-type: application/json")
    assert base64_of(images.tier.task.example["photo"])[:200] not in text
    assert "-F" not in people.get("/docs").text


def test_only_a_row_of_more_than_a_file_is_said_to_refuse_one(images: Server, people: Server) -> None:
    for server, refused in ((images, False), (people, True)):
        answers = server.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["responses"]
        assert ("415" in answers) == refused
    assert people.error(415, content=picture(9), headers={"content-type": "image/png"}).startswith("The body is image/png, and a row needs: 'age'")


def test_the_openapi_document_keeps_what_is_null_and_cuts_files_off(images: Server, people: Server) -> None:
    document = images.get("/openapi.json").json()
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    shown = body["application/json"]["schema"]["example"]["rows"][0]["photo"]
    assert len(shown) == 41
    assert base64_of(images.tier.task.example["photo"]).startswith(shown[:-1])
    assert shown in json.dumps(document["paths"]["/v1/model"], ensure_ascii=False)
    schema = people.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert people.post(json=schema["example"]).status_code == 200


def test_a_column_whose_usual_value_is_missing_stands_in_the_example() -> None:
    tier = counting()
    tier.task.usual["town"] = None  # type: ignore[attr-defined]
    with started(tier) as server:
        document = server.get("/openapi.json").json()
        example = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]["example"]
        assert example["rows"][0]["town"] is None
        assert server.post(json=example).status_code == 200
