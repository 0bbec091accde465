"""A tier that is quick, exact and needs no learning: real task, real processor, and an engine that counts features."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from penjing.core.cascade import Predictors
from penjing.core.files import write_json
from penjing.core.tier import Tier, describe
from penjing.core.types import Batch, Ragged
from penjing.package.seal import seal
from penjing.plugins.processors.ngrams import Ngrams
from penjing.plugins.processors.tokens import Tokens
from penjing.plugins.tasks.text_classification import TextClassification
from penjing.security.keys import make_key
from penjing.security.signing import ModelSigner
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.run import serving
from penjing.stages.serve.service import Served


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
        self.go.wait(120)
        if (features.lengths == 0).any():
            raise ZeroDivisionError("secret details of the engine")
        return {"logits": np.stack([np.full(len(features), 3.0), np.log(features.lengths)], axis=1).astype(np.float32)}

    def work(self, batch: Batch) -> float:
        return 1.0


@dataclass
class Server:
    url: str
    tier: Tier
    engine: Counter

    def predict(self, *texts: str) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/predict", json={"rows": [{"review": text} for text in texts]}, timeout=120)

    def until_waiting(self, rows: int) -> None:
        """Return once `rows` rows wait for the model."""
        until_waiting(self.url, rows)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=120)


def until_waiting(url: str, rows: int) -> None:
    """Return once `rows` rows wait for the model of the server at `url`. Raises AssertionError after a minute."""
    with httpx.Client(base_url=url, timeout=120) as client:
        for _ in range(1200):
            if f"penjing_queue_rows {float(rows)}\n" in client.get("/metrics").text:
                return
            time.sleep(0.05)
    raise AssertionError(f"there were never {rows} rows waiting")


def counting_tier(columns: tuple[str, ...] = ("review",)) -> tuple[Tier, Counter]:
    engine = Counter()
    engine.go.set()
    return Tier("linear", TextClassification("rating", list(columns), ["bad", "good"]), Ngrams(list(columns)), engine), engine


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server on a free port, with the given keys of its config."""
    with ExitStack() as stack:
        yield partial(_start, stack)


@pytest.fixture
def tier() -> Tier:
    return counting_tier()[0]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server that the tests of a file share: they change nothing about it."""
    with ExitStack() as stack:
        yield _start(stack)


def _start(stack: ExitStack, columns: tuple[str, ...] = ("review",), **config: object) -> Server:
    tier, engine = counting_tier(columns)
    served = Served("reviews", "abc123", "mei (0123456789abcdef)", "2026-01-01T00:00:00+00:00")
    url = stack.enter_context(serving(tier, served, ServeConfig(**{"port": 0} | config)))  # type: ignore[arg-type]
    stack.callback(engine.go.set)
    engine.entered.clear()
    engine.batches.clear()
    return Server(url, tier, engine)


@dataclass
class Sealed:
    folder: Path
    signer: ModelSigner


@pytest.fixture
def sealed(tmp_path: Path, plain: Callable[..., Predictors]) -> Sealed:
    """A signed package of two tiers that disagree; "first" answers."""
    tiers = {}
    for name, sign in {"first": 1.0, "second": -1.0}.items():
        tiers[name] = tmp_path / "run" / name
        (tiers[name] / "engine").mkdir(parents=True)
        write_onnx(tiers[name] / "engine", sign)
        describe(tiers[name], name, TextClassification("rating", ["review"], ["bad", "good"]), Tokens(["review"], tokenizer(), 32), "onnx-runtime")
    make_key(tmp_path / "home")
    signer = ModelSigner(tmp_path / "home")
    seal(tmp_path / "package", "reviews", tiers, plain(tiers, "first"), {"README.md": "# reviews"}, {}, signer)
    return Sealed(tmp_path / "package", signer)


def tokenizer() -> str:
    made = Tokenizer(WordLevel({"[PAD]": 0, "bad": 1, "good": 2, "[UNK]": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    return made.to_str()


def write_onnx(folder: Path, sign: float) -> None:
    """Write a model whose logits are plus and minus `sign` times how much larger the first token is than 1.5."""
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [1, 2], [-sign, sign]), helper.make_tensor("half", TensorProto.FLOAT, [1], [1.5])]
    first = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in {"from": 0, "to": 1, "axis": 1}.items()]
    nodes = [
        helper.make_node("Slice", ["input_ids", "from", "to", "axis"], ["id"]),
        helper.make_node("Cast", ["id"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["number", "half"], ["centred"]),
        helper.make_node("MatMul", ["centred", "w"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 2])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [*weights, *first])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), folder / "model.onnx")
    write_json(folder / "engine.json", {"outputs": {"logits": {"width": 2, "link": "softmax"}}, "pad": 0})
