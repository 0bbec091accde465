"""A Hugging Face encoder as segments, in torch: what runs early exits, shows the steps on the way, and is traced by exporters.

A body that can be cut has `embeddings` and `encoder.layer`, as BERT and its relatives do; any other is one segment. Knows no files.

Shapes: R rows in a rectangle, T tokens, H hidden units, W width of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask

from penjing.core.errors import RunFailed
from penjing.core.types import NDArray


class Part(nn.Module):  # type: ignore[misc]  # torch is not typed for mypy here
    """Layers `start` + 1 to `end` of `body`, and the head there. Begins with ids where `start` is 0, with a state otherwise."""

    def __init__(self, body: Any, start: int, end: int, head: Any) -> None:
        super().__init__()
        self.entering = "state" if start else "input_ids"
        self.config, self.start, self.head = body.config, start, head
        self.embeddings = None if start else body.embeddings
        self.project = None if start else getattr(body, "embeddings_project", None)
        self.layer = body.encoder.layer[start:end]
        self.goes_on = end < len(body.encoder.layer)

    def forward(self, entering: Any, attention_mask: Any) -> tuple[Any, ...]:
        """Return every step."""
        *hidden, last_RTH = self.hidden(entering, attention_mask)
        pooled_RH = pooled(last_RTH, attention_mask)
        return *hidden, last_RTH, pooled_RH, self.head(pooled_RH)

    def answer(self, entering: Any, attention_mask: Any) -> Sequence[Any]:
        """Return logits and, but at the end of the body, the state."""
        for state_RTH in self.hidden(entering, attention_mask):
            last_RTH = state_RTH
        logits_RW = self.head(pooled(last_RTH, attention_mask))
        return [logits_RW, last_RTH] if self.goes_on else [logits_RW]

    def hidden(self, entering: Any, attention_mask: Any) -> Iterator[Any]:
        """Yield the state (R, T, H) after the embeddings, where they are part of it, and after each layer."""
        state_RTH = entering
        if self.embeddings is not None:
            state_RTH = self.embeddings(input_ids=entering)
            state_RTH = self.project(state_RTH) if self.project is not None else state_RTH
            yield state_RTH
        mask = create_bidirectional_mask(config=self.config, inputs_embeds=state_RTH, attention_mask=attention_mask)
        for layer in self.layer:
            state_RTH = layer(state_RTH, mask)
            state_RTH = state_RTH[0] if isinstance(state_RTH, tuple) else state_RTH
            yield state_RTH


class Whole(nn.Module):  # type: ignore[misc]
    """A body of any kind in one segment."""

    entering, start, goes_on = "input_ids", 0, False

    def __init__(self, body: Any, head: Any) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, input_ids: Any, attention_mask: Any) -> tuple[Any, ...]:
        """Return every step."""
        told = self.body(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        pooled_RH = pooled(told.last_hidden_state, attention_mask)
        return *(told.hidden_states or ()), pooled_RH, self.head(pooled_RH)

    def answer(self, input_ids: Any, attention_mask: Any) -> Sequence[Any]:
        """Return logits."""
        return [self.head(pooled(self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state, attention_mask))]


class TorchSegment:
    """A Part or Whole over numpy arrays: `core.graphs.segments.Segment`."""

    def __init__(self, part: Part | Whole) -> None:
        self._part = part

    def run(self, entering: NDArray, mask_RT: NDArray) -> list[NDArray]:
        with torch.inference_mode():
            return [found.numpy() for found in self._part.answer(torch.from_numpy(entering), torch.from_numpy(mask_RT))]

    def steps(self, entering: NDArray, mask_RT: NDArray) -> Iterator[tuple[str, NDArray]]:
        with torch.inference_mode():
            found = [step.numpy() for step in self._part(torch.from_numpy(entering), torch.from_numpy(mask_RT))]
        yield from zip(step_names(self._part.start, len(found)), found, strict=True)


def parts(body: Any, exits: Mapping[int, Any], head: Any) -> list[Part | Whole]:
    """Return `body` cut after each depth of `exits` (depth → head), or in one piece where there are none."""
    if not exits:
        return [Whole(body, head)]
    ends = [*exits, len(body.encoder.layer)]
    return [Part(body, start, end, head) for start, end, head in zip([0, *exits], ends, [*exits.values(), head], strict=True)]


def multiplied(part: Part | Whole) -> int:
    """Return how many weights of `part` every token is multiplied by: all matrices but those that are looked up."""
    looked_up = {id(weight) for module in part.modules() if isinstance(module, nn.Embedding) for weight in module.parameters()}
    return sum(weight.numel() for weight in part.parameters() if weight.ndim == 2 and id(weight) not in looked_up)


def step_names(start: int, count: int) -> list[str]:
    """Return the names of `count` steps of a segment that begins after layer `start`."""
    states = [f"layer {start + i}" for i in range(1 if start else 0, count - 1 if start else count - 2)]
    return [*("embeddings" if name == "layer 0" else name for name in states), "pooled", "head"]


def pooled(state_RTH: Any, attention_mask: Any) -> Any:
    """Return (R, H) float32: the mean over real tokens."""
    hidden_RTH = state_RTH.float()
    mask_RT1 = attention_mask.unsqueeze(-1).to(hidden_RTH.dtype)
    return (hidden_RTH * mask_RT1).sum(1) / mask_RT1.sum(1)


def check_cuts(body: Any) -> None:
    """Raise RunFailed where layer after layer is not what `body` computes: it cannot have early exits."""
    ids_RT = torch.arange(5, 13).reshape(2, 4) % body.config.vocab_size
    mask_RT = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    plain = hasattr(body, "embeddings") and hasattr(getattr(body, "encoder", None), "layer") and not getattr(body.config, "is_decoder", False)
    if plain:
        with torch.inference_mode():
            *_, ours_RTH = Part(body, 0, len(body.encoder.layer), None).hidden(ids_RT, mask_RT)
            theirs_RTH = body(input_ids=ids_RT, attention_mask=mask_RT).last_hidden_state
        plain = torch.allclose(pooled(ours_RTH, mask_RT), pooled(theirs_RTH, mask_RT), atol=1e-4)
    if not plain:
        raise RunFailed(f"A {type(body).__name__} does not compute layer after layer as BERT does: it cannot have early exits. Leave 'exits' out.")
