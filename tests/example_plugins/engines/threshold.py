"""Says "long" above a threshold: the worked example of an engine in CONTRIBUTING.md."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from penjing.core.errors import RunFailed
from penjing.core.files import read_json
from penjing.core.types import Batch


class Threshold:
    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    @classmethod
    def open(cls, folder: Path) -> Self:
        try:
            return cls(read_json(folder / "threshold.json"))
        except FileNotFoundError as error:
            raise RunFailed(f"{folder} holds no threshold.json. Export the tier again.") from error

    def run(self, batch: Batch) -> Batch:
        above_B1 = np.asarray(batch["lengths"]).max(axis=1, keepdims=True) - self.threshold
        return {"logits": np.hstack([-above_B1, above_B1]).astype(np.float32)}

    def work(self, batch: Batch) -> float:
        return float(len(batch["lengths"]))
