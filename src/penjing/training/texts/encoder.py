"""A Hugging Face encoder, mean-pooled, with a linear head: opened, run and written. Knows no rows, no learning and no plugin.

A folder of it: `config.json` and `model.safetensors` (the encoder, as Hugging Face lays it out), `head.safetensors`, `exits.safetensors`
(where there are early exits: their heads), and `engine.json` (the output, the id to pad with, and the depths of the exits). No code from a
folder is run, and no pickle is read.

Shapes: B rows, T tokens, H hidden units, W width of the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import penjing.training.texts.bodies  # noqa: F401  # makes its model type one that can be opened
from penjing.core.errors import RunFailed
from penjing.core.graphs.batching import Described, present
from penjing.core.graphs.segments import Chain
from penjing.core.types import NDArray, Spec
from penjing.training.quiet import quiet
from penjing.training.texts.segments import Part, TorchSegment, Whole, multiplied, parts, pooled


class Encoder(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """ids and mask (B, T) → logits (B, W)."""

    def __init__(self, body: Any, outputs: Mapping[str, Spec]) -> None:
        super().__init__()
        ((self.output, self.spec),) = outputs.items()
        self.body = body
        self.head = nn.Linear(body.config.hidden_size, self.spec.width)
        self.exits: dict[int, Any] = {}  # heads by depth, the shallowest first; not among the parameters, since they are learnt after all these
        self.eval()  # also while learning: dropout costs time for its random numbers, and a resumed run would have to draw the same ones

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.head(self.pooled(input_ids, attention_mask))

    def pooled(self, input_ids: Any, attention_mask: Any) -> Any:
        """Return (B, H) float32: the mean over real tokens of the last hidden state."""
        return pooled(self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state, attention_mask)

    @property
    def pad(self) -> int:
        """The id to pad with; some models (RoBERTa) count positions by it."""
        pad = getattr(self.body.config, "pad_token_id", None)
        return 0 if pad is None else int(pad)

    @property
    def parts(self) -> list[Part | Whole]:
        """The encoder cut at its exits."""
        return parts(self.body, self.exits, self.head)

    @property
    def chain(self) -> Chain:
        """What answers batches: the whole, and in it the exits. Thread-safe."""
        return Chain(self.described, [TorchSegment(part) for part in self.parts])

    def set_head(self, weight_WH: NDArray, bias_W: NDArray) -> None:
        _fill(self.head, weight_WH, bias_W)

    def set_exits(self, heads: Mapping[int, tuple[NDArray, NDArray]]) -> None:
        """Take these early exits: depth in layers → weight (W, H) and bias (W,)."""
        self.exits = {depth: nn.Linear(self.head.in_features, self.spec.width) for depth in sorted(heads)}
        for depth, head in self.exits.items():
            _fill(head, *heads[depth])

    def save(self, folder: Path) -> None:
        """Write the folder that `opened` opens."""
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            self.body.save_pretrained(folder, safe_serialization=True)
        save_file({name: tensor.detach() for name, tensor in self.head.state_dict().items()}, folder / "head.safetensors")
        if self.exits:
            held = {f"{depth}.{name}": tensor.detach() for depth, head in self.exits.items() for name, tensor in head.state_dict().items()}
            save_file(held, folder / "exits.safetensors")
        for path in folder.glob("*.safetensors"):
            path.chmod(0o644)  # safetensors writes for the owner alone, and a package is read by others
        self.described.write(folder)

    @property
    def described(self) -> Described:
        """What an engine must know beside the weights."""
        hidden = self.head.in_features if self.exits else 0
        return Described(self.output, self.spec, self.pad, hidden, tuple(self.exits), tuple(multiplied(part) for part in self.parts))


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
    if described.exits:
        present(folder, "exits.safetensors")
        held = load_file(folder / "exits.safetensors")
        encoder.set_exits({depth: (held[f"{depth}.weight"].numpy(), held[f"{depth}.bias"].numpy()) for depth in described.exits})
    return encoder


def _fill(head: Any, weight_WH: NDArray, bias_W: NDArray) -> None:
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight_WH.astype(np.float32)))
        head.bias.copy_(torch.from_numpy(bias_W.astype(np.float32)))


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
