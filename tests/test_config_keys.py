"""Every key of penjing.yaml has a test which proves that changing it changes behaviour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penjing.core import plugins
from penjing.core.config import Section
from penjing.core.tasks import options_of
from penjing.pipeline.config import Config
from penjing.training.regime import Regime

HERE = Path(__file__).parent
PROVED = {key for path in HERE.rglob("test_*.py") for key in re.findall(r'mark\.changes\("([\w.-]+)"\)', path.read_text(encoding="utf-8"))}

# tests/plugins/learners/test_regimes.py tries each key of a regime with each learner that has one.
REGIMES = [name for name in plugins.names("learners") if issubclass(plugins.options("learners", name), Regime)]
PROVED |= {f"learners.{name}.{key}" for name in REGIMES for key in Regime.model_fields}


def keys() -> list[str]:
    found = []
    for name, field in Config.model_fields.items():
        section = field.annotation
        inner = section.model_fields if isinstance(section, type) and issubclass(section, Section) else None
        found += [f"{name}.{key}" for key in inner] if inner else [name]
    for learner in plugins.names("learners"):
        found += [f"learners.{learner}.{key}" for key in plugins.options("learners", learner).model_fields]
    for sink in plugins.names("sinks"):
        found += [f"sinks.{sink}.{key}" for key in plugins.options("sinks", sink).model_fields]
    for task in plugins.names("tasks"):
        found += [f"tasks.{task}.{key}" for key in getattr(options_of(task), "model_fields", ())]
    return found


@pytest.mark.parametrize("key", keys())
def test_a_test_proves_that_the_key_changes_behaviour(key: str) -> None:
    assert key in PROVED, f'mark a test of {key} with @pytest.mark.changes("{key}")'


def test_no_test_claims_a_key_that_is_not_there() -> None:
    assert set(keys()) >= PROVED


@pytest.mark.parametrize(
    "section", [Config, *(f.annotation for f in Config.model_fields.values()), *(plugins.options("learners", n) for n in plugins.names("learners"))]
)
def test_every_key_is_explained(section: object) -> None:
    if isinstance(section, type) and issubclass(section, Section):
        for name, field in section.model_fields.items():
            inner = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
            assert inner or field.description, f"{section.__name__}.{name} has no docstring"
