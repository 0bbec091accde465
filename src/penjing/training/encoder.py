"""A Hugging Face encoder, mean-pooled, with a linear head: opened, run and written. Knows no rows, no learning and no plugin.

A folder of it: `config.json` and `model.safetensors` (the encoder, as Hugging Face lays it out), `head.safetensors`, and `engine.json`
(the output, and the id to pad with). No code from a folder is run, and no pickle is read.

Shapes: B rows, T tokens, H hidden units, W width of the output.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from penjing.core.batching import Described, run_in_rectangles, token_ids
from penjing.core.errors import RunFailed
from penjing.core.types import Batch, NDArray, Spec


class Encoder(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """ids and mask (B, T) → logits (B, W)."""

    def __init__(self, body: Any, outputs: Mapping[str, Spec]) -> None:
        super().__init__()
        ((self.output, self.spec),) = outputs.items()
        self.body = body
        self.head = nn.Linear(body.config.hidden_size, self.spec.width)
        self.eval()  # also while learning: dropout costs time for its random numbers, and a resumed run would have to draw the same ones

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.head(self.pooled(input_ids, attention_mask))

    def pooled(self, input_ids: Any, attention_mask: Any) -> Any:
        """Return (B, H) float32: the mean over real tokens of the last hidden state."""
        hidden_BTH = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask_BT1 = attention_mask.unsqueeze(-1).to(hidden_BTH.dtype)
        return (hidden_BTH * mask_BT1).sum(1) / mask_BT1.sum(1)

    @property
    def pad(self) -> int:
        """The id to pad with; some models (RoBERTa) count positions by it."""
        pad = getattr(self.body.config, "pad_token_id", None)
        return 0 if pad is None else int(pad)

    def run(self, batch: Batch) -> Batch:
        """Return {output: (B, W) float32}. Thread-safe."""

        def logits(ids_BT: NDArray, mask_BT: NDArray) -> NDArray:
            with torch.inference_mode():
                result: NDArray = self(torch.from_numpy(ids_BT), torch.from_numpy(mask_BT)).numpy()
            return result

        return {self.output: run_in_rectangles(token_ids(batch), self.spec.width, self.pad, logits)}

    def set_head(self, weight_WH: NDArray, bias_W: NDArray) -> None:
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight_WH.astype(np.float32)))
            self.head.bias.copy_(torch.from_numpy(bias_W.astype(np.float32)))

    def save(self, folder: Path) -> None:
        """Write the folder that `opened` opens."""
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            self.body.save_pretrained(folder, safe_serialization=True)
        save_file({"weight": self.head.weight.detach(), "bias": self.head.bias.detach()}, folder / "head.safetensors")
        for path in folder.glob("*.safetensors"):
            path.chmod(0o644)  # safetensors writes for the owner alone, and a package is read by others
        self.describe(folder)

    def describe(self, folder: Path) -> None:
        """Write `engine.json`: what an engine must know beside the weights."""
        Described(self.output, self.spec, self.pad).write(folder)


def pretrained(folder: Path, outputs: Mapping[str, Spec]) -> Encoder:
    """Return the encoder in `folder` with a head of zeros. Raises RunFailed where the folder lacks weights that its config names."""
    encoder = Encoder(_body(folder), outputs)
    encoder.set_head(np.zeros(tuple(encoder.head.weight.shape)), np.zeros(encoder.spec.width))
    return encoder


def opened(folder: Path) -> Encoder:
    """Return what `Encoder.save` wrote. Raises RunFailed where `folder` lacks a part of it."""
    described = Described.read(folder, "config.json", "model.safetensors", "head.safetensors")
    encoder = Encoder(_body(folder), {described.output: described.spec})
    encoder.head.load_state_dict(load_file(folder / "head.safetensors"))
    return encoder


def _body(folder: Path) -> Any:
    how = {"trust_remote_code": False, "use_safetensors": True, "local_files_only": True, "dtype": torch.float32}
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # weights that a folder lacks, such as an unused pooler's, are drawn: let them be the same each time
        try:
            body, told = transformers.AutoModel.from_pretrained(folder, output_loading_info=True, **how)
        except (ImportError, KeyError, OSError, RuntimeError, ValueError) as error:
            why = str(error).strip().partition("\n")[0]
            raise RunFailed(f"The model in {folder} cannot be opened: {why} Choose an encoder that needs no code of its own.") from error
    missing = sorted(name for name in told["missing_keys"] if "pooler" not in name)
    if missing:
        raise RunFailed(
            f"The model in {folder} lacks {len(missing)} weights that its config.json names, such as {missing[0]!r}. Fetch its folder again."
        )
    return body


@contextmanager
def quiet() -> Iterator[None]:
    """Silence bars, logs and warnings of torch and transformers that a user of Penjing can do nothing about."""
    loggers = [logging.getLogger(name) for name in ("transformers", "torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir", "openvino")]
    levels = [logger.level for logger in loggers]
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            transformers.utils.logging.enable_progress_bar()
