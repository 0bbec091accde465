"""Adapters: a few numbers learnt beside the frozen matrices of a body, and folded into them afterwards. By peft, which is imported only for them.

LoRA adds a product of two thin matrices (Hu et al. 2022); DoRA learns each row's length apart from its direction too (Liu et al. 2024); IA3
learns one factor a unit (Liu et al. 2022). Knows nothing of heads, rows, learning and files.

Shapes: T tokens, K units in, N units out, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from penjing.core import plugins
from penjing.training.quiet import quiet
from penjing.training.texts.adapter_targets import METHODS, matched, matrices, widened

_NAME = "default"
"""What peft calls an adapter that is given no name."""


def adapt(body: Any, method: str, rank: int, alpha: float, dropout: float, targets: Sequence[str], seed: int) -> None:
    """Put adapters beside matrices of `body`, in place, so that it computes what it did, and freeze all else.

    method: "lora", "dora" or "ia3"; rank, alpha (the product counts alpha / rank) and dropout (share of what the product reads that is left
    out while learning) are of lora and dora. targets: see `matched`. seed: of the numbers that lora and dora begin with.
    Raises PlanError where the targets match nothing, MissingLibrary without peft, ValueError for an adapted body or an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"There is no adapter {method!r}; there is {', '.join(METHODS)}.")
    if any(_base(module) is not None for module in body.modules()):
        raise ValueError("This body has adapters already: fold them in with merged() first.")
    sizes = matrices({f"{name}.weight": tuple(module.weight.shape) for name, module in body.named_modules() if isinstance(module, nn.Linear)})
    names = matched(sizes, method, targets)
    with quiet(), torch.random.fork_rng(devices=[]):
        peft = _peft(method)
        torch.manual_seed(seed)
        if method == "ia3":
            wide = [name for name in names if widened(name, sizes[name])]
            config = peft.IA3Config(target_modules=names, feedforward_modules=wide)
        else:
            config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names, use_dora=method == "dora")
        mode = body.training
        peft.inject_adapter_in_model(config, body)
        body.train(mode)


def merged(body: Any) -> Any:
    """Fold the adapters into the plain weights, in place, and return `body`, whose weights are called what they were and can be learnt.

    A body without adapters is returned as it is.
    """
    found = [(name, module) for name, module in body.named_modules() if _base(module) is not None]
    with quiet(), torch.no_grad():
        for name, module in found:
            module.merge(safe_merge=True)
            body.set_submodule(name, _base(module))
    if found:
        del body.peft_config
        body.requires_grad_(True)
    return body


def product(module: Any, x_TK: Any, dtype: torch.dtype) -> Any:
    """Return (T, N) in `dtype`: what a matrix, plain or adapted, makes of x. Weights are brought to `dtype`; autocast is not asked."""
    base = _base(module)
    if base is None:
        return _plain(module, x_TK, dtype)
    if hasattr(module, "ia3_l"):
        return _rescaled(module, base, x_TK, dtype)
    if separate(module):
        return _plain(base, x_TK, dtype) + _thin(module, x_TK, dtype)
    return _turned(module, base, x_TK, dtype)


def extra(module: Any, x_TK: Any, dtype: torch.dtype) -> Any | None:
    """Return (T, N) in `dtype`: what the adapter of `module` adds to the product of the matrix itself; None for a plain matrix.

    Raises ValueError where nothing is added that could be told apart: ask `separate`.
    """
    if _base(module) is None:
        return None
    if not separate(module):
        raise ValueError("DoRA and IA3 change the product of the matrix itself: take product() for this one.")
    return _thin(module, x_TK, dtype)


def separate(module: Any) -> bool:
    """Return whether what a matrix makes of x is the product with its own weights and, added to it, `extra`: so it is plain, and with LoRA."""
    return _base(module) is None or (hasattr(module, "lora_A") and _NAME not in module.lora_variant)


def plain(module: Any) -> Any:
    """Return the nn.Linear itself, without the adapter beside it."""
    base = _base(module)
    return module if base is None else base


def _plain(linear: Any, x_TK: Any, dtype: torch.dtype) -> Any:
    return functional.linear(x_TK.to(dtype), linear.weight.to(dtype), None if linear.bias is None else linear.bias.to(dtype))


def _thin(module: Any, x_TK: Any, dtype: torch.dtype, dropped: bool = True) -> Any:
    """Return (T, N): scaling · B A x (Hu et al. 2022, equation 3)."""
    read_TK = module.lora_dropout[_NAME](x_TK) if dropped else x_TK
    # The factor goes to the thin side, where it is R numbers a token and not N.
    thin_TR = functional.linear(read_TK.to(dtype), module.lora_A[_NAME].weight.to(dtype)) * module.scaling[_NAME]
    return functional.linear(thin_TR, module.lora_B[_NAME].weight.to(dtype))


def _turned(module: Any, base: Any, x_TK: Any, dtype: torch.dtype) -> Any:
    """Return (T, N): m / |W + sBA| (W + sBA) x + b, the length taken as a constant on the way back (Liu et al. 2024, equation 5, section 4.3).

    While learning with dropout, what is left out of x is left out of all but the frozen product, as in peft.
    """
    thin, wide = module.lora_A[_NAME].weight, module.lora_B[_NAME].weight
    with torch.no_grad():
        length_N = torch.linalg.vector_norm(base.weight + module.scaling[_NAME] * (wide @ thin), dim=1)
    factor_N = (module.lora_magnitude_vector[_NAME].weight / length_N).to(dtype)
    bias = 0 if base.bias is None else base.bias.to(dtype)
    weight_NK, dropout, x_TK = base.weight.to(dtype), module.lora_dropout[_NAME], x_TK.to(dtype)
    read_TK = dropout(x_TK)
    through_TN = functional.linear(read_TK, weight_NK)
    turned_TN = (through_TN + _thin(module, read_TK, dtype, dropped=False)) * factor_N + bias
    if isinstance(dropout, nn.Identity) or not module.training:
        return turned_TN
    return turned_TN + functional.linear(x_TK, weight_NK) - through_TN


def _rescaled(module: Any, base: Any, x_TK: Any, dtype: torch.dtype) -> Any:
    """Return (T, N): the product rescaled by unit, before it or after it (Liu et al. 2022, section 3.3)."""
    factor = module.ia3_l[_NAME].flatten().to(dtype)
    if module.is_feedforward:
        return _plain(base, x_TK.to(dtype) * factor, dtype)
    return _plain(base, x_TK, dtype) * factor


def _base(module: Any) -> Any | None:
    """Return the nn.Linear that an adapter stands beside; None where `module` is none of peft's. Asked by attribute: peft may not be there."""
    return module.base_layer if hasattr(module, "base_layer") and hasattr(module, "adapter_layer_names") else None


def _peft(method: str) -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise plugins.missing(error, f"adapter {method!r}") from error
    return peft
