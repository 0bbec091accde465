"""Runs the encoder or the net that a learner saved, in torch itself: the reference, and the engine that is there before any export."""

from __future__ import annotations

from pathlib import Path

from penjing.core.graphs.plain import Plain
from penjing.core.graphs.runtime import Runtime
from penjing.core.graphs.segments import Chain


class TorchRuntime(Runtime):
    """What it opens decides what is imported: a net needs no transformers."""

    @classmethod
    def chain(cls, folder: Path) -> Chain:
        from penjing.training.texts.encoder import opened

        return opened(folder).chain

    @classmethod
    def plain(cls, folder: Path) -> Plain:
        from penjing.training.nets.files import in_torch, open_net

        return in_torch(*open_net(folder))
