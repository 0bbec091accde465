from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from penjing.core.errors import BadRequest
from penjing.core.tasks import TaskConfig
from penjing.pipeline.config import Config, read_config, schema

DATA = {"data": {"source": "x.csv"}}


def test_a_task_is_a_name_or_a_name_with_its_options() -> None:
    assert TaskConfig.parse("text-regression").dump() == "text-regression"
    given = {"name": "tabular-classification", "reasons": 4}
    assert TaskConfig.parse(given).fields("tabular-classification") == {"costs": {}, "reasons": 4}
    assert read_config(None, (), {**DATA, "task": given}).model_dump(mode="json")["task"] == given
    assert read_config(None, ("task.reasons=2",), {**DATA}).task.options == {"reasons": 2}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("tabular-clasification", "Did you mean 'tabular-classification'"),
        ({"name": "tabular-classification", "reason": 3}, "Did you mean 'reasons'"),
        ({"name": "text-regression", "costs": {}}, "nothing can be set"),
        ({"name": "tabular-classification", "reasons": -1}, "greater than or equal to 0"),
        (["x"], "a mapping with the key 'name'"),
    ],
)
def test_what_is_no_task_is_refused_with_the_nearest(given: Any, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        read_config(None, (), {**DATA, "task": given})


def test_the_published_schema_knows_what_each_task_may_be_told() -> None:
    described = json.loads(schema())
    valid = lambda task: jsonschema.validate({**DATA, "task": task}, described)  # noqa: E731
    valid("tabular-classification")
    valid({"name": "tabular-classification", "costs": {"a": {"b": 2}}, "reasons": 3})
    with pytest.raises(jsonschema.ValidationError):
        valid({"name": "tabular-classification", "reason": 3})
    assert Config(data={"source": "x"}).task is None  # type: ignore[arg-type]
