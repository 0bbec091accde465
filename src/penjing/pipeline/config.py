"""The whole of penjing.yaml: one section a stage, each defined beside its stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from penjing.core.config import Section, dump, load
from penjing.core.learning.sinks import LogConfig
from penjing.core.learning.tiers import TierConfig
from penjing.core.limits import Limit
from penjing.core.tasks import TaskConfig
from penjing.stages.budget import BudgetConfig
from penjing.stages.calibrate.calibrate import CascadeConfig
from penjing.stages.evaluate.prices import PriceConfig
from penjing.stages.pack import PackConfig
from penjing.stages.prepare.config import DataConfig
from penjing.stages.serve.config import ServeConfig
from penjing.training.distributed import Distributed


class Config(Section):
    """Everything that a run depends on."""

    data: DataConfig
    task: TaskConfig | None = None
    """What is asked: a task's name, or a mapping of its name and options; found out from the target and the columns where not given."""
    tiers: list[TierConfig] | None = None
    """Learners to climb, cheapest first; where not given those of the kind of data (texts, a table, images), as far as they can work here."""
    budget: BudgetConfig = BudgetConfig()
    price: PriceConfig = PriceConfig()
    cascade: CascadeConfig = CascadeConfig()
    release: dict[str, Limit] = Field(default={})
    """Limits on what is measured, by its name, that must hold before anything is signed: `{accuracy: {at_least: 0.85}}`. They take the place of
    the defaults of the same name: better than the best constant answer, parity at every hand-over, no leaked row."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of everything drawn at random."""
    distributed: Distributed = Distributed()
    log: LogConfig = LogConfig()
    pack: PackConfig = PackConfig()
    serve: ServeConfig = ServeConfig()


def read_config(path: Path | None, overrides: Sequence[str] = (), base: dict[str, Any] | None = None) -> Config:
    """Read penjing.yaml, or start from `base`, and lay `overrides` ("seed=3") over it. Raises ConfigError."""
    return load(Config, path, overrides, base)


def schema() -> str:
    """Return the JSON Schema of penjing.yaml, for editors."""
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "penjing.schema.json", **Config.model_json_schema()}
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def as_yaml(config: Config) -> str:
    """Return `config` as a file that editors can check."""
    return f"# yaml-language-server: $schema=penjing.schema.json\n{dump(config)}"
