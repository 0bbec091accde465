"""A tier that is quick, exact and needs no learning: real task, real processor, and an engine that counts features."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest
from penjing.core.tier import Tier
from penjing.core.types import Batch, Ragged
from penjing.plugins.processors.ngrams import Ngrams
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.http import Served
from penjing.stages.serve.run import serving


@dataclass
class Counter:
    """An engine: the logit of the second label grows with the number of features. It can be held, and breaks on texts without features."""

    go: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list)

    def run(self, batch: Batch) -> Batch:
        features = batch["features"]
        assert isinstance(features, Ragged)
        self.batches.append(len(features))
        self.entered.set()
        self.go.wait(30)
        if (features.lengths == 0).any():
            raise ZeroDivisionError("secret details of the engine")
        return {"logits": np.stack([np.full(len(features), 3.0), np.log(features.lengths)], axis=1).astype(np.float32)}


@dataclass
class Server:
    url: str
    tier: Tier
    engine: Counter

    def predict(self, *texts: str) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/predict", json={"rows": [{"review": text} for text in texts]}, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30)


def counting_tier(columns: tuple[str, ...] = ("review",)) -> tuple[Tier, Counter]:
    engine = Counter()
    engine.go.set()
    return Tier("linear", TextClassification("rating", list(columns), ["bad", "good"]), Ngrams(list(columns)), engine), engine


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server on a free port, with the given keys of its config."""
    with ExitStack() as stack:

        def starter(columns: tuple[str, ...] = ("review",), **config: object) -> Server:
            tier, engine = counting_tier(columns)
            served = Served("reviews", "abc123", "mei (0123456789abcdef)", "2026-01-01T00:00:00+00:00")
            url = stack.enter_context(serving(tier, served, ServeConfig(**{"port": 0} | config)))  # type: ignore[arg-type]
            stack.callback(engine.go.set)
            engine.entered.clear()
            engine.batches.clear()
            return Server(url, tier, engine)

        yield starter
