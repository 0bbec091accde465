"""The two pages, as far as it can be seen without a browser."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from penjing.stages.serve import pages
from penjing.stages.serve.schema import bodies_of
from penjing.stages.serve.values import kind_of


@pytest.mark.parametrize("like", ["text", 1.5, True, b"png", None])
def test_the_page_has_an_input_for_every_kind_of_column(like: Any) -> None:
    controls = pages.front().partition("const CONTROLS = {")[2].partition("\n};")[0]
    assert re.search(rf"^  {kind_of(like).name}\(", controls, re.MULTILINE)


def test_the_page_may_show_the_file_that_was_chosen_and_load_nothing() -> None:
    policy = pages.headers(pages.front())["content-security-policy"]
    assert "img-src data:;" in policy
    assert "connect-src 'self';" in policy
    assert policy.startswith("default-src 'none'")


def commands(example: dict[str, Any]) -> list[list[str]]:
    """Return the commands that the docs show for a row like `example`, as a shell reads them."""
    operation = {"requestBody": {"content": bodies_of(example)}, "responses": {"200": {}}, "summary": "Predict rows"}
    schema = {"paths": {"/v1/predict": {"post": operation}}, "info": {"title": "kinds", "description": "Predicts."}}
    text = pages.docs(schema, "http://server:1/")
    shown = [pre.replace("&#x27;", "'").replace("&quot;", '"') for pre in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]
    return [shlex.split(command) for command in shown]


def test_the_docs_ask_for_files_with_a_form() -> None:
    form, json = commands({"scan": b"png", "age": 39.0, "smoker": True, "it's": "a text", "none": None})
    fields = [form[i + 1] for i, word in enumerate(form) if word == "-F"]
    assert form[:2] == ["curl", "http://server:1/v1/predict"]
    assert fields == ["scan=@FILE", "age=39.0", "smoker=true", "it's=a text", "none="]
    assert json[-1] == '{"rows": [{"scan": "cG5n", "age": 39.0, "smoker": true, "it\'s": "a text", "none": null}]}'


def test_the_docs_ask_for_anything_else_with_json_alone() -> None:
    [json] = commands({"age": 39.0})
    assert json[-1] == '{"rows": [{"age": 39.0}]}'
