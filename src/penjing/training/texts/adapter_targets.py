"""Which matrices of a model an adapter goes beside, and what that makes to learn. Light: names and sizes only, neither torch nor peft.

So a plan can refuse what learning would: it knows the names and shapes of a model's weights from its files.

Shapes: K units in, N units out, R rank.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from penjing.core.errors import PlanError

Method = Literal["lora", "dora", "ia3"]
METHODS: tuple[str, ...] = get_args(Method)
ALL = "all"
"""As a target: every matrix of the layers."""
_QUERIES = frozenset({"query", "query_proj", "q_proj", "q_lin", "q"})
_KEYS = frozenset({"key", "key_proj", "k_proj", "k_lin", "k"})
_VALUES = frozenset({"value", "value_proj", "v_proj", "v_lin", "v"})
_TOGETHER = frozenset({"Wqkv", "qkv", "qkv_proj", "query_key_value", "in_proj"})
"""One matrix for queries, keys and values."""
_UNREAD = frozenset({"pooler", "classifier", "lm_head", "cls"})
"""What stands beside the layers: learnt or left out by others."""

Sizes = Mapping[str, tuple[int, int]]
"""Name of a matrix, without ".weight" → (K, N)."""


def matrices(shapes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, int]]:
    """Return the sizes of the matrices of the layers, from the shapes (N, K) of a model's weights by name.

    A layer is what stands under a number: embeddings and what follows the last layer are none of it.
    """
    held = {name.removesuffix(".weight"): shape for name, shape in shapes.items() if name.endswith(".weight") and len(shape) == 2}
    return {name: (int(shape[1]), int(shape[0])) for name, shape in held.items() if _in_a_layer(name)}


def matched(sizes: Sizes, method: str, targets: Sequence[str]) -> list[str]:
    """Return the names of the matrices that get an adapter, in the model's order.

    targets: ends of names, whole words between the dots, such as "query" or "attention.output.dense"; "all" for every matrix of the layers.
    Where none is given: queries and values (LoRA, Hu et al. 2022, section 4.2), and for ia3 keys, values and what goes back from the wider
    layer (Liu et al. 2022, section 3.3); one matrix of queries, keys and values together counts as all of these.
    Raises PlanError for a target that matches nothing, or a model that has no such matrices.
    """
    if not sizes:
        raise PlanError("An adapter goes beside the matrices of a model's layers, and this model has none. Choose tune: full or tune: frozen.")
    wanted = targets or _usual(sizes, method)
    if not wanted:
        raise PlanError(f"This model has no matrix that is called query or value. Name the targets of the adapter: {_words(sizes)}, or {ALL}.")
    for target in wanted:
        if target != ALL and not any(_ends(name, target) for name in sizes):
            raise PlanError(f"No matrix of this model is called {target!r}. Name others as the targets of the adapter: {_words(sizes)}, or {ALL}.")
    return [name for name in sizes if ALL in wanted or any(_ends(name, target) for target in wanted)]


def widened(name: str, size: tuple[int, int]) -> bool:
    """Return whether a matrix goes back from the wider layer: ia3 rescales what such a one reads, and what the others say."""
    return size[0] > size[1] and name.rpartition(".")[2] not in _QUERIES | _KEYS | _VALUES


def learnt(sizes: Sizes, names: Sequence[str], method: str, rank: int) -> int:
    """Return how many numbers the adapters beside the matrices `names` hold."""
    if method == "ia3":
        return sum(sizes[name][0 if widened(name, sizes[name]) else 1] for name in names)
    return sum(rank * sum(sizes[name]) + (sizes[name][1] if method == "dora" else 0) for name in names)


def _usual(sizes: Sizes, method: str) -> list[str]:
    known = _TOGETHER | _VALUES | (_KEYS if method == "ia3" else _QUERIES)
    found = [name for name in sizes if name.rpartition(".")[2] in known]
    return found + [name for name in sizes if found and method == "ia3" and widened(name, sizes[name]) and "attention" not in name]


def _in_a_layer(name: str) -> bool:
    parts = name.split(".")
    return any(part.isdigit() for part in parts) and not _UNREAD & set(parts) and not any("embedding" in part for part in parts)


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _words(sizes: Sizes) -> str:
    """Return the names that are left when the layers' numbers and what stands before them are taken away."""
    return ", ".join(dict.fromkeys(re.sub(r".*\.\d+\.", "", name) for name in sizes))
