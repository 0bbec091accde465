"""Encoded examples of the tiny model, and a run that may be killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.core import plugins
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Link, Spec
from penjing.plugins.learners.transformer.learner import Transformer
from penjing.plugins.learners.transformer.options import Options

WORDS = ["works", "well", "pain", "no", "help", "relief", "very", "the", "doctor", "gave", "me", "this", "worse"]


@dataclass
class Run:
    """What a Fitting is made of; its progress can be changed between two tries."""

    folder: Path
    seed: int = 1
    progress: Any = field(default_factory=Silent)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def fitting(self) -> Fitting:
        """What the learner gets from the pipeline."""
        self.checkpoints.mkdir(exist_ok=True)
        return Fitting(self.seed, self.progress, self.checkpoints, self.cache)


class Fit:
    """Learns from texts that say "good" or "bad"."""

    def __init__(self, model: Path) -> None:
        self.model = model

    def options(self, **options: Any) -> Options:
        descent = {"batch_size": 8, "learning_rate": 1e-3}
        if options.get("tune", "frozen") == "frozen":
            descent, options = {}, {name: value for name, value in options.items() if name != "epochs"}
        return Options(**{"model": str(self.model), "max_tokens": 32, "precision": "f32", **descent, **options})

    def examples(self, count: int, seed: int, link: Link = "softmax") -> Examples:
        random = np.random.default_rng(seed)
        rows = [{"text": " ".join([*random.choice(WORDS, random.integers(1, 12)), ("good", "bad")[i % 2]])} for i in range(count)]
        target = np.arange(count) % 2
        tokens = plugins.load("processors", "tokens")
        processor = tokens(**tokens.options_from(rows, ["text"], self.options().resolved()))
        return Examples(processor.encode(rows), target if link == "softmax" else np.stack([target, 1 - target], axis=1).astype(np.float32))

    def __call__(self, run: Run, link: Link = "softmax", train: int = 60, validation: int = 20, **options: Any) -> Transformer:
        learner = Transformer.create(self.options(**options), {"logits": Spec(2, link)})
        learner.fit(self.examples(train, 1, link), self.examples(validation, 2, link), run.fitting)
        return learner


@pytest.fixture(scope="session")
def fit(tiny_bert: Path) -> Fit:
    return Fit(tiny_bert)


@pytest.fixture(scope="session")
def new_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    return lambda **fields: Run(tmp_path_factory.mktemp("run"), **fields)


@pytest.fixture(scope="session")
def deep(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """The same over a random BERT of four layers, which has room for exits."""
    import shutil

    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("models") / "deep-bert"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(BertConfig.from_pretrained(tiny_bert, num_hidden_layers=4)).save_pretrained(folder)
    shutil.copy(tiny_bert / "tokenizer.json", folder)
    return Fit(folder)
