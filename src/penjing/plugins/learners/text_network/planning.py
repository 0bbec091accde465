"""Whether a text network can work here and what it will cost, before anything is spent. Light: neither torch nor transformers is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.learning.probe import probed
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.text_network.options import Options
from penjing.training.regime import PASSES, refused

_HEAD_UNITS, _FEWEST = 32, 8
"""As in training/texts/bodies.py and training/texts/pretraining.py, which import torch."""
_SAMPLE = 200
_LIBRARIES = {"openvino-runtime": ("openvino",), "onnx-runtime": ("onnx", "onnxscript", "onnxruntime"), "torch-runtime": ()}
_START_SECONDS, _EXPORT_SECONDS = 6.0, {"openvino-runtime": 3.0, "onnx-runtime": 8.0, "torch-runtime": 0.5}
_LIBRARIES_BYTES = 600 << 20
_REACHED = {"transformer": 0.25, "cnn": 0.3, "lstm": 0.1, "gru": 0.1, "mlp": 0.02}
"""Multiply-adds a second of a step of learning, as a share of what the float32 probe reaches. Small products reach little of it."""
_STEP_SECONDS = 4e-3
"""Of a step, whatever its size: the optimizer goes over every weight."""


def estimate(options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int) -> Estimate:
    """Return the cost of learning from `count` rows like `rows`, as a formula. Raises PlanError, or MissingLibrary with the install line."""
    for library in ("torch", "transformers", *_LIBRARIES[options.runtime]):
        if importlib.util.find_spec(library) is None:
            raise plugins.missing(ModuleNotFoundError(name=library), "learner 'text-network'")
    _check(options, next(iter(outputs.values())), count)
    processor = plugins.load("processors", "subwords")
    sample = rows[:_SAMPLE]
    made = processor(**processor.options_from(sample, columns, options.resolved()))
    encodings = made.encodings(made.texts(sample))
    tokens = sum(len(encoding) for encoding in encodings) / len(encodings) if encodings else float(options.max_tokens)
    body, weights = _body(options, tokens)
    asked = {"none": 0.0, "masked": options.pretrain.share, "causal": 1.0}[options.pretrain.objective]
    epochs = options.pretrain.epochs if asked else 0
    output = options.width * (options.vocabulary + options.width)
    products = count * tokens * (options.epochs * body + epochs * (body + asked * output))
    steps = options.epochs * count / options.batch_size + epochs * count / options.pretrain.batch_size
    seconds = PASSES * 2 * products / (probed() * _REACHED[options.architecture]) + _STEP_SECONDS * steps
    memory = _LIBRARIES_BYTES + 4 * weights * 6 + _activations(options, tokens, asked)
    why = f"{weights / 1e6:.1f} M parameters, {tokens:.0f} tokens a row, at most {options.epochs} epochs" + (
        f" after {epochs} of pre-training, unlabelled rows not counted" if epochs else ""
    )
    seconds = round(_START_SECONDS + seconds + _EXPORT_SECONDS[options.runtime], 1)
    return Estimate(seconds, int(memory), int(4 * weights * 6), why, told=made.cut(encodings))


def _check(options: Options, spec: Spec, count: int) -> None:
    """Refuse what cannot be, saying what to change."""
    architecture, objective = options.architecture, options.pretrain.objective
    recurrent = architecture in ("lstm", "gru")
    again = "" if architecture == "transformer" else f"({architecture}) keeps what it computes"
    refused(options, spec, "text-network", checkpointing=again)
    if architecture == "transformer" and options.width % _HEAD_UNITS:
        near = max(_HEAD_UNITS, _HEAD_UNITS * round(options.width / _HEAD_UNITS))
        raise PlanError(f"The width {options.width} is no multiple of {_HEAD_UNITS}, which the heads of a transformer need. Set width: {near}.")
    if recurrent and options.bidirectional and options.width % 2:
        raise PlanError(f"The width {options.width} cannot be shared by two directions. Set width: {options.width + 1}, or bidirectional: false.")
    if not (recurrent or options.bidirectional):
        raise PlanError(f"bidirectional: false is for an lstm or a gru, and the architecture is {architecture}. Leave it out.")
    if objective == "causal" and architecture != "transformer" and not (recurrent and not options.bidirectional):
        remedy = "bidirectional: false" if recurrent else "architecture: transformer"
        raise PlanError(
            f"A network ({architecture}) that sees what follows cannot learn to guess it. Set {remedy}, or pretrain: {{objective: masked}}."
        )
    if options.pretrain.share != type(options.pretrain).model_fields["share"].default and objective != "masked":
        raise PlanError(f"pretrain.share is of tokens that are hidden, and the objective is {objective}. Leave it out, or set objective: masked.")
    if objective != "none" and count < _FEWEST:
        raise PlanError(f"Pre-training needs at least {_FEWEST} texts, and there are {count}. Set pretrain: {{objective: none}}.")


def _body(options: Options, tokens: float) -> tuple[float, float]:
    """Return the multiplications of a token in the layers, and the weights of everything."""
    width, layers = options.width, options.layers
    back = 0.5 if options.bidirectional else 1.0
    products, attention = {
        "transformer": (12.0 * width * width, 2 * tokens * width),  # four matrices of attention, two of four times the width
        "lstm": (8 * back * width * width + 4 * (1 - back) * width * width, 0.0),
        "gru": (6 * back * width * width + 3 * (1 - back) * width * width, 0.0),
        "cnn": (10.0 * width * width, 0.0),
        "mlp": (1.0 * width * width, 0.0),
    }[options.architecture]
    places = options.max_tokens if options.architecture == "transformer" else 0
    return layers * (products + attention), layers * products + width * (options.vocabulary + places)


def _activations(options: Options, tokens: float, asked: float) -> float:
    """Return the bytes that a step keeps for the way back: the states within layers, attention's weights, and the logits of what is guessed."""
    at_once = min(float(options.piece), tokens * max(options.batch_size, options.pretrain.batch_size if asked else 0))
    kept = {"transformer": 20, "lstm": 16, "gru": 14, "cnn": 16, "mlp": 6}[options.architecture] * options.width
    heads = options.width // _HEAD_UNITS * min(2 * tokens, float(options.max_tokens)) * 2 if options.architecture == "transformer" else 0
    guesses = min(asked * at_once * options.vocabulary, 1 << 24)
    return 4.0 * (at_once * options.layers * (kept + heads) + 3 * guesses)
