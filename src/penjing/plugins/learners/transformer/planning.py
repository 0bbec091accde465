"""Whether a transformer tier can work here and what it will cost, before anything is spent. Light: no torch, no transformers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.learning.learnt import only
from penjing.core.learning.probe import probed
from penjing.core.learning.trials import Course
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.transformer import models, script
from penjing.plugins.learners.transformer.options import ADAPTERS, Options
from penjing.training.regime import PASSES, refused
from penjing.training.texts.adapter_targets import matched, matrices

_SAMPLE = 200
"""Rows that lengths and unknown words are counted on."""
_REACHED = {"f32": 0.8, "bf16": 1.9}
"""Multiply-adds x 2 a second of products, as a share of what the float32 probe reaches. Measured with MiniLM on two cores."""
_LARGEST = 1.5
"""Tokens of the largest step, as a multiple of the mean one's."""
_TRIED_SHARES, TRIED_ROWS = (1 / 6, 1 / 3, 2 / 3), 1024
"""Where the number of layers to tune is chosen by trials: the shares of the layers that are tried, and with how many rows at most."""
_START_SECONDS, _EXPORT_SECONDS = 8.0, {"openvino-runtime": 5.0, "onnx-runtime": 15.0, "torch-runtime": 1.0}
_LIBRARIES_BYTES = 700 << 20
"""Memory of torch and transformers themselves."""
_LIBRARIES = {"openvino-runtime": ("openvino",), "onnx-runtime": ("onnx", "onnxscript", "onnxruntime"), "torch-runtime": ()}
_COUNT_FROM_PAD = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
"""Families whose first position is numbered one after the padding id."""
_CUT = ("bert", "camembert", "data2vec-text", "electra", "ernie", "roberta", "xlm-roberta")
"""Families that compute one layer after the other over a mask, so that one can stop and go on."""


def estimate(options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int) -> Estimate:
    """Return the cost of learning from `count` rows. Raises PlanError, or MissingLibrary with the install line."""
    _check_libraries(options.runtime)
    _, spec = only("transformer", outputs)
    folder = models.resolve(options.model)
    described = models.config(folder)
    _check_family(options, described)
    _check_positions(options, described)
    check_exits(options, described)
    _check_tuning(options, described, folder)
    if options.tune != "frozen":
        refused(options, spec, "transformer")
    tokens = plugins.load("processors", "tokens")
    processor = tokens(**tokens.options_from(rows, columns, options.resolved()))
    texts = processor.texts(rows[:_SAMPLE])
    encodings = processor.encodings(texts)
    _check_ids(options, described, encodings)
    _check_script(options, processor.tokenizer, texts, encodings)
    tokens_a_row = float(np.mean([len(encoding) for encoding in encodings])) if encodings else float(options.max_tokens)
    return replace(_cost(options, folder, described, tokens_a_row, machine, count), told=processor.cut(encodings))


def _check_libraries(runtime: str) -> None:
    for library in ("torch", "transformers", *_LIBRARIES[runtime]):
        if importlib.util.find_spec(library) is None:
            raise plugins.missing(ModuleNotFoundError(name=library), "learner 'transformer'")


def _check_family(options: Options, described: dict[str, Any]) -> None:
    if "model_type" not in described or described.get("is_encoder_decoder"):
        what = "reads and writes (is_encoder_decoder)" if "model_type" in described else "names no model_type in its config.json"
        raise PlanError(f"The model {options.model!r} {what}, and this learner needs a Hugging Face encoder. Choose one such as all-MiniLM-L6-v2.")


def _check_positions(options: Options, described: dict[str, Any]) -> None:
    positions = described.get("max_position_embeddings")
    if not isinstance(positions, int):
        return
    if described.get("model_type") in _COUNT_FROM_PAD:
        positions -= int(described.get("pad_token_id") or 0) + 1
    if options.max_tokens > positions:
        raise PlanError(
            f"The model {options.model!r} reads at most {positions} tokens, and max_tokens is {options.max_tokens}. Set max_tokens: {positions}."
        )


def check_exits(options: Options, described: dict[str, Any]) -> None:
    """Raise PlanError where the model cannot answer early at the depths asked for."""
    depths, family, layers = options.exits, described.get("model_type"), described.get("num_hidden_layers", 12)
    if not depths:
        return
    if family not in _CUT or described.get("is_decoder"):
        raise PlanError(
            f"The model {options.model!r} is of the family {family!r}, which cannot answer early here; these can: {', '.join(_CUT)}. "
            "Leave exits out, or choose another model."
        )
    if layers < 2:
        raise PlanError(f"The model {options.model!r} has one layer, and so no place for an exit. Leave exits out.")
    if depths != sorted(set(depths)) or depths[0] < 1 or depths[-1] >= layers:
        raise PlanError(
            f"The exits {depths} do not fit the model {options.model!r}, which has {layers} layers. "
            f"Give depths that rise, from 1 to {layers - 1}, such as exits: [{layers // 2}]."
        )


def _check_tuning(options: Options, described: dict[str, Any], folder: Path) -> None:
    """Refuse ways to tune that this model does not have."""
    family, layers = described.get("model_type"), described.get("num_hidden_layers", 12)
    asked = {"tune: partial": options.tune == "partial", "dropout": options.dropout, "checkpointing": options.checkpointing}
    if unfit := [name for name, wanted in asked.items() if wanted and family not in _CUT]:
        raise PlanError(
            f"The model {options.model!r} is of the family {family!r}, whose layers cannot be told apart here, as {unfit[0]} needs it; "
            f"these can: {', '.join(_CUT)}. Leave it out, or choose another model."
        )
    if options.pretrain.objective == "causal" and family not in _CUT:
        raise PlanError(
            f"The model {options.model!r} is of the family {family!r}, which cannot learn the next token here. Set pretrain: {{objective: masked}}."
        )
    if options.pretrain.objective == "masked" and not set(models.MASKS) & models.special_tokens(folder).keys():
        raise PlanError(
            f"The tokenizer of the model {options.model!r} has no token for what is hidden ({' or '.join(models.MASKS)}), "
            "as pretrain: {objective: masked} needs it. Set pretrain: {objective: causal}, or leave it out."
        )
    if options.layers is not None and options.layers >= layers:
        raise PlanError(f"The model {options.model!r} has {layers} layers, and layers is {options.layers}. Set fewer, or tune: full.")
    if options.tune in ADAPTERS:
        if importlib.util.find_spec("peft") is None:
            raise plugins.missing(ModuleNotFoundError(name="peft"), f"adapter {options.tune!r}")
        matched(matrices(models.shapes(folder)), options.tune, options.targets)


def _check_ids(options: Options, described: dict[str, Any], encodings: Sequence[Any]) -> None:
    known, highest = described.get("vocab_size"), max((max(encoding.ids, default=0) for encoding in encodings), default=0)
    if isinstance(known, int) and highest >= known:
        raise PlanError(
            f"The model {options.model!r} knows {known} tokens, and its tokenizer.json makes the id {highest}: they do not belong together. "
            "Fetch the model's folder again."
        )


def _check_script(options: Options, tokenizer: str, texts: Sequence[str], encodings: Sequence[Any]) -> None:
    share, dominant = script.unknown(tokenizer, texts, encodings)
    if share > options.unknown_tokens_at_most:
        raise PlanError(
            f"The model {options.model!r} does not know the script of these texts: {share:.0%} of their characters stand in words unknown "
            f"to its tokenizer, most of them {dominant}. Choose a model that knows {dominant}, or keep the linear tier, which reads any script "
            f"(or raise unknown_tokens_at_most, now {options.unknown_tokens_at_most:g})."
        )


def _cost(options: Options, folder: Path, described: dict[str, Any], tokens_a_row: float, machine: Machine, count: int) -> Estimate:
    total, multiplied = models.parameters(folder)
    precision = options.precision if options.precision != "auto" else "bf16" if machine.bf16 else "f32"
    hidden, tokens, probe = described.get("hidden_size", 768), tokens_a_row * count, probed()
    pass_seconds = 2 * multiplied * tokens / (probe * _REACHED[precision])
    learning_seconds = PASSES * 2 * multiplied * tokens / (probe * _REACHED[precision])
    learnt = _learnt(options, described)
    seconds = _START_SECONDS + pass_seconds + _EXPORT_SECONDS[options.runtime]
    memory, disk = _LIBRARIES_BYTES + 8 * total + 16 * hidden * count, 8 * total
    if options.tune != "frozen":
        # Adapters leave out the gradients of the weights themselves, a third of the work.
        seconds += options.epochs * learning_seconds * (2 / 3 if options.tune in ADAPTERS else learnt)
        memory += int(12 * total * (0.05 if options.tune in ADAPTERS else learnt)) + int(learnt * _activations(options, described, tokens_a_row))
        disk += 20 * total
    if options.tune == "partial":
        tried = len(_TRIED_SHARES) * min(count, TRIED_ROWS) if options.layers is None else 0
        seconds += learning_seconds * learnt * tried / max(count, 1)
        disk += int(2 * hidden * tokens) * (1 if options.layers is not None else 2)
    if options.pretrain.objective != "none":
        seconds += options.pretrain.epochs * learning_seconds
        memory, disk = max(memory, _LIBRARIES_BYTES + 24 * total + _activations(options, described, tokens_a_row)), disk + 20 * total
    if options.exits:
        disk += 4 * hidden * count * len(options.exits)
        seconds += pass_seconds if options.tune != "frozen" else 0.0
    why = f"{total / 1e6:.1f} M parameters, {tokens_a_row:.0f} tokens a row, {precision}, at {probe / 1e9:.0f} GFLOP/s measured now"
    return Estimate(round(seconds, 1), int(memory), int(disk), why)


def layers_of(options: Options) -> int:
    """Return how many layers the model has. Raises PlanError where it is not there."""
    return int(models.config(models.resolve(options.model)).get("num_hidden_layers", 12))


def courses(options: Options, count: int, layers: int) -> list[Course]:
    """Return what is descended with `count` rows, in its order: the language of the texts, the trials of how many layers to tune, the tuning."""
    found = [Course(count, options.pretrain.epochs, options.pretrain.batch_size)] if options.pretrain.objective != "none" else []
    if options.tune == "partial" and options.layers is None:
        tried = len(tried_layers(layers))
        found += [Course(min(count, TRIED_ROWS), 1, options.batch_size)] * (tried if tried > 1 else 0)
    return [*found, Course(count, options.epochs, options.batch_size)]


def tried_layers(layers: int) -> list[int]:
    """Return with how many upper layers of so many `layers` tuning is tried, rising."""
    return sorted({max(1, round(share * layers)) for share in _TRIED_SHARES} - {layers})


def _learnt(options: Options, described: dict[str, Any]) -> float:
    """Return the share of the layers that is gone back through."""
    layers = described.get("num_hidden_layers", 12)
    return (options.layers or layers / 2) / layers if options.tune == "partial" else 1.0


def _activations(options: Options, described: dict[str, Any], tokens_a_row: float) -> int:
    """Return the bytes one piece of a step keeps for the way back: 34 for each token, hidden unit and layer (Korthikanti et al. 2022, equation 1).

    Attention is kept a run of equal lengths at a time, and counts no more than a tenth of it. With checkpointing a layer's input is kept, and
    one layer's inside.
    """
    hidden, layers = described.get("hidden_size", 768), described.get("num_hidden_layers", 12)
    tokens = min(options.batch_size * tokens_a_row * _LARGEST, max(float(options.piece), tokens_a_row))
    kept = 4 * layers + 34 if options.checkpointing else 38 * layers
    return int(tokens * hidden * kept)
