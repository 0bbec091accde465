"""Several engines that answer as one, in numpy: their mean, or a linear head over what they say. Knows nothing of what the engines are.

Layout of a folder: `ensemble.json` (how answers are put together, and the name of each engine), and the engines' own files in `0/`, `1/` and so on.

Shapes: B rows, M members, W width of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from penjing.core import plugins
from penjing.core.errors import BadRequest, RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.protocols import HasLayers
from penjing.core.statistics import probabilities
from penjing.core.types import Batch, NDArray, Spec

How = Literal["mean", "linear"]
_FILE = "ensemble.json"
_LEAST = 1e-30
"""Least probability whose logarithm is taken."""


@dataclass(frozen=True)
class Blend:
    """How answers of the members become one."""

    how: How
    """mean: of probabilities, or of numbers; linear: a head over all logits."""
    weights: list[float] = field(default_factory=list)
    """(M,) how much each member counts. Of mean."""
    scale: float = 1.0
    """What the logits of the mean are multiplied by. Of mean."""
    head: list[list[float]] = field(default_factory=list)
    """(W, M * W) weights of the head. Of linear."""
    bias: list[float] = field(default_factory=list)
    """(W,). Of linear."""

    def __call__(self, said_MBW: NDArray, spec: Spec) -> NDArray:
        """Return (B, W) float32 logits."""
        said_MBW = said_MBW.astype(np.float64)
        if self.how == "linear":
            flat = said_MBW.transpose(1, 0, 2).reshape(said_MBW.shape[1], -1)
            found: NDArray = flat @ np.asarray(self.head).T + np.asarray(self.bias)
        else:
            shares_MBW = np.stack([probabilities(said_BW, spec.link) for said_BW in said_MBW])
            weights_M = np.asarray(self.weights, np.float64)
            found = _logits(np.tensordot(weights_M / weights_M.sum(), shares_MBW, axes=1), spec) * self.scale
        return found.astype(np.float32)

    def fits(self, members: int, width: int) -> bool:
        """Return whether its numbers are as many as they must be, finite, and at least 0 where they are shares."""
        if self.how == "linear":
            numbers, shape = np.asarray(self.head, np.float64), (width, members * width)
            return numbers.shape == shape and len(self.bias) == width and bool(np.isfinite(numbers).all() and np.isfinite(self.bias).all())
        shares = np.asarray(self.weights, np.float64)
        sound = shares.shape == (members,) and (shares >= 0).all() and 0 < shares.sum() < np.inf and 0 < float(self.scale) < np.inf
        return self.how == "mean" and bool(sound)


class Ensemble:
    """Batch → {output: (B, W) float32}. Thread-safe, as its members are."""

    def __init__(self, members: Sequence[Any], blend: Blend | Mapping[str, Any], output: str, spec: Spec) -> None:
        self.members, self.output, self.spec = members, output, spec
        self.blend = blend if isinstance(blend, Blend) else Blend(**blend)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `write` described. Raises RunFailed where `folder` holds no ensemble, and what its engines raise."""
        try:
            told = read_json(folder / _FILE)
            names, blend = [str(name) for name in told["engines"]], Blend(**told["blend"])
            ((output, spec),) = ((str(name), Spec(**one)) for name, one in told["outputs"].items())
            fits = bool(names) and blend.fits(len(names), spec.width)
            kinds = [plugins.load("engines", name) for name in names]
        except FileNotFoundError as error:
            raise RunFailed(f"{folder} holds no ensemble ({_FILE} is missing). Export the tier again.") from error
        except (AttributeError, BadRequest, KeyError, TypeError, ValueError) as error:
            raise RunFailed(f"{folder / _FILE} does not describe an ensemble: {error} Export the tier again.") from error
        if not fits:
            raise RunFailed(f"{folder / _FILE} does not describe an ensemble: its numbers do not fit its members. Export the tier again.")
        return cls([kind.open(folder / str(i)) for i, kind in enumerate(kinds)], blend, output, spec)

    def write(self, folder: Path, engines: Sequence[str]) -> None:
        """Describe the ensemble whose members' engines lie in `0/`, `1/` and so on."""
        write_json(folder / _FILE, {"engines": list(engines), "blend": asdict(self.blend), "outputs": {self.output: asdict(self.spec)}})

    def run(self, batch: Batch) -> Batch:
        said_MBW = np.stack([np.asarray(member.run(batch)[self.output]) for member in self.members])
        return {self.output: self.blend(said_MBW, self.spec)}

    def work(self, batch: Batch) -> float:
        """Return the sum of what its members take."""
        return float(sum(member.work(batch) for member in self.members))

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the steps of each member that can be looked into, what each says (B, W), and what comes of it (B, W)."""
        for i, member in enumerate(self.members):
            if isinstance(member, HasLayers):
                for name, values in member.layers(batch):
                    yield f"member {i}: {name}", values
            yield f"member {i}", np.asarray(member.run(batch)[self.output])
        yield self.output, np.asarray(self.run(batch)[self.output])


def _logits(shares_BW: NDArray, spec: Spec) -> NDArray:
    """Return what `probabilities` makes `shares_BW` of."""
    if spec.link == "identity":
        return shares_BW
    found: NDArray = np.log(np.maximum(shares_BW, _LEAST))
    return found if spec.link == "softmax" else found - np.log(np.maximum(1 - shares_BW, _LEAST))
