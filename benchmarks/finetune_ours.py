"""Our side of finetune.py: the transformer learner as a tier has it, in a child process: python benchmarks/finetune_ours.py ASKED.json

The learner is loaded by name and given encoded rows, as stages/train.py does. To see what it would answer while it learns, the encoder that it
makes is remembered as it is made, and asked while the clock stands still; nothing of the learner is changed.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported; the model is on this machine

import json
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from finetune_clock import Clock, Judge, Rows, finish

from penjing.core import plugins
from penjing.core.allowance import Allowance
from penjing.core.curve import Point
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Spec
from penjing.training.texts import encoder as encoders

SIDES = {"ours-full": "full", "ours-partial": "partial", "ours-frozen": "frozen", "ours-lora": "lora"}
CLASSES = {
    "products": ("mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "mkldnn"),
    "attention": ("attention", "softmax", "exp", "sdpa", "flash"),
    "layer norm": ("layer_norm", "native_layer_norm", "rsqrt", "var_mean"),
    "gelu": ("gelu", "erf", "tanh"),
    "optimizer": ("adam", "foreach", "optimizer"),
    "casts and copies": ("copy", "_to_copy", "cat", "contiguous", "clone", "index", "gather", "narrow", "stack", "fill", "zero"),
    "embeddings": ("embedding",),
    "sums and products of elements": ("add", "mul", "sub", "div", "sum", "mean", "norm", "sqrt"),
}
"""Kind of work → what the names of torch's operations hold; the first that fits."""


class Seen(Silent):
    """Sees where learning is: makes the curve, times the loop, and says when a slice is over."""

    def __init__(self, asked: dict[str, Any], judge: Judge, profiler: Any) -> None:
        self.asked, self.judge, self.clock, self.profiler = asked, judge, judge.clock, profiler
        self.looks = [share * asked["epochs"] for share in asked["looks"] if share < 1]
        self.made: list[Any] = []
        self.seconds, self.examples, self.tokens, self.operations, self.steps = 0.0, 0, 0, 0.0, 0
        self.over = False
        self._mark: float | None = None
        self._profiled = 0.0

    def start(self, what: str, total: float) -> None:
        """Look at what the head alone answers, once it is there."""
        if self.looks[:1] == [0] and self.made and bool(self.made[-1].head.weight.detach().any()) and not self.asked["slice_seconds"]:
            self.looks.pop(0)
            self.judge.look(0.0, self.made[-1])
        self._mark = None

    def tell(self, name: str, point: Point) -> None:
        now = self.clock.now()[0]
        if self._mark is not None and point.validation_loss is None:
            self.seconds += now - self._mark
            self.examples, self.tokens, self.operations = (
                self.examples + point.examples,
                self.tokens + point.tokens,
                self.operations + point.operations,
            )
        self.steps = point.step
        self._slice(point)
        if self.looks and point.epoch >= self.looks[0] and not self.asked["slice_seconds"]:
            self.looks = [at for at in self.looks if at > point.epoch]
            self.judge.look(point.epoch, self.made[-1])
        self._mark = self.clock.now()[0]

    def _slice(self, point: Point) -> None:
        if not self.asked["slice_seconds"]:
            return
        if self.profiler and self._mark is None:
            self.profiler.start()
        self.over = self.over or self.seconds > self.asked["slice_seconds"] or point.step >= self.asked["slice_steps"]
        if self.profiler and self.over and not self._profiled:
            self.profiler.stop()
            self._profiled = self.seconds

    def figures(self) -> dict[str, Any]:
        return {
            "loop_seconds": self.seconds,
            "loop_examples": self.examples,
            "loop_operations": self.operations,
            "steps": self.steps,
            "capped": False,
        }


def remembered(made: list[Any]) -> Callable[[], None]:
    """Put every Encoder that is made from here on into `made`; return what ends that."""
    make = encoders.Encoder.__init__

    def made_and_kept(self: Any, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        made.append(self)

    encoders.Encoder.__init__ = made_and_kept

    def end() -> None:
        encoders.Encoder.__init__ = make

    return end


def examples_of(processor: Any, rows: Rows) -> Examples:
    return Examples(processor.encode([{"text": text} for text in rows.texts]), np.array(rows.labels, np.int64))


def learnt(asked: dict[str, Any]) -> tuple[Seen, Judge, Any, tuple[float, float], int]:
    """Return what was seen, who judges, the encoder, what it took, and the most memory that was held."""
    kind = plugins.load("learners", "transformer")
    import_module("penjing.plugins.learners.transformer.tuning")  # imports are none of learning, on any side
    tune = SIDES[asked["side"]]
    given = {"model": f"path:{asked['model']}", "tune": tune, "max_tokens": asked["tokens"], "runtime": "torch-runtime", **asked["options"]}
    if tune != "frozen":
        given["epochs"] = asked["epochs"]
    clock = Clock()
    with clock.paused():
        judge = Judge.of(asked, clock)
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) if asked["profile"] else None
    seen = Seen(asked, judge, profiler)
    end = remembered(seen.made)
    train, validation = (Rows.read(asked, split) for split in ("train", "validation"))
    options = kind.Options(**given)
    tokens = plugins.load("processors", "tokens")
    processor = tokens(**tokens.options_from([], ["text"], options.resolved()))
    learner = kind.create(options, {"logits": Spec(len(set(train.labels)), "softmax")})
    scratch = Path(asked["scratch"])
    for name in ("checkpoints", "cache"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    bound = Allowance(joules=0.5, drawn=lambda: float(seen.over))  # ends a slice the way a budget ends learning
    fitting = Fitting(asked["seed"], seen, scratch / "checkpoints", scratch / "cache", allowance=bound, tell=seen.tell)
    learner.fit(examples_of(processor, train), examples_of(processor, validation), fitting)
    end()
    return seen, judge, learner.encoder, clock.now(), clock.peak_bytes()


def profile_of(seen: Seen) -> dict[str, Any]:
    """Return the share of the cores' time in each kind of work, and the operations that took the most."""
    events = [(event.key, event.self_cpu_time_total / 1e6) for event in seen.profiler.key_averages()]
    shares: dict[str, float] = {}
    for name, seconds in events:
        kind = next((kind for kind, words in CLASSES.items() if any(word in name.lower() for word in words)), "else")
        shares[kind] = shares.get(kind, 0.0) + seconds
    total = sum(shares.values())
    most: list[tuple[str, float]] = sorted(events, key=lambda event: -event[1])[:15]
    return {"wall_seconds": seen.seconds, "in_operations": total, "counted": seen.operations, "kinds": shares, "operations": most}


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    transformers.AutoModel.from_pretrained(asked["model"])  # imports what it needs, as it is imported for all sides
    seen, judge, encoder, (seconds, busy), peak = learnt(asked)
    said: list[int] = []
    if not asked["slice_seconds"]:
        said = judge.said(encoder)
        judge.point(asked["epochs"], said, (seconds, busy))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads()}
    figures = seen.figures() | {"seconds": seconds, "busy": busy, "peak_bytes": peak, "points": judge.points, "versions": versions}
    if asked["profile"]:
        figures["profile"] = profile_of(seen)
    finish(asked, figures, said, judge.labels)


if __name__ == "__main__":
    main()
