"""What a user may set for a static-embedding tier. Light: a model's name is looked up, and nothing of it is opened."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from penjing.core.config import Section

LEARNT = "learnt"
SOURCES = ("path", "model")


class Options(Section):
    """Word vectors, averaged, with a linear head."""

    vectors: str = LEARNT
    """Where word vectors begin: learnt (from the training rows alone), path:FILE (GloVe or word2vec; .txt, .vec or .bin, also .gz), or
    model:NAME (what an encoder makes of each word of its vocabulary; NAME as the transformer's `model`)."""
    tune: Literal["frozen", "full"] = "full"
    """What is learnt: the head alone over vectors that stay as they are, or the vectors too. Learnt vectors need full."""
    dimensions: int = Field(256, ge=2, le=4096)
    """Numbers in a vector; longer ones of a file or a model are brought down to it (PCA), shorter ones stay."""
    vocabulary: int = Field(50_000, ge=100, le=1_000_000)
    """Most words that are kept: those of the training rows first, the most frequent before others, then those of the file or the model."""
    epochs: int = Field(10, ge=1, le=1000)
    """Most passes over the training rows; the best by the loss on held-out rows is kept."""
    learning_rate: float = Field(0.1, gt=0, le=10)
    """Length of the first step of a vector, where vectors are of about length 1 to begin with."""
    covered_at_least: float = Field(0.1, ge=0, le=1)
    """Share of the words of the rows (0 to 1) that must have a vector in the file or the model, or else planning refuses it."""

    @field_validator("vectors")
    @classmethod
    def _known(cls, value: str) -> str:
        kind, _, rest = value.partition(":")
        if value != LEARNT and (kind not in SOURCES or not rest):
            raise ValueError("expected learnt, path:FILE or model:NAME, such as model:all-MiniLM-L6-v2")
        return value

    @model_validator(mode="after")
    def _something(self) -> Options:
        if self.vectors == LEARNT and self.tune == "frozen":
            raise ValueError("there is nothing to keep frozen: name vectors (path:FILE or model:NAME), or set tune: full")
        return self

    @property
    def source(self) -> tuple[str, str]:
        """What `vectors` names: "learnt", "path" or "model", and the file or the model."""
        kind, _, rest = self.vectors.partition(":")
        return kind, rest
