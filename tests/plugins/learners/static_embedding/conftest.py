"""Vectors that know which words are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def vectors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GloVe-like file of 12 numbers a word: good words point one way, bad ones the other, others anywhere."""
    random = np.random.default_rng(5)
    way = random.normal(size=12)
    words = {
        0: "the doctor gave me this medicine for a week and then another one after that",
        1: "works relief great calm well better healed 有 😀",
        -1: "pain awful worse nausea useless dizzy rash 无 😡",
    }
    lines = []
    for sign, group in words.items():
        for word in group.split():
            lines.append(" ".join([word, *(f"{x:.5f}" for x in sign * way * 2 + random.normal(size=12) * 0.5)]))
    path = tmp_path_factory.mktemp("vectors") / "glove.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
