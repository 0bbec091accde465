"""Serves a package, or the cascade or the newest tier of a run that is still under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from penjing.core.config import load
from penjing.core.protocols import Signer
from penjing.pipeline.opened import Opened, opened
from penjing.stages.serve import run
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.service import Served


def serve(path: Path, overrides: Sequence[str], signer: Signer, ready: Callable[[Opened, str], None]) -> None:
    """Verify, open, warm and answer until told to stop; `ready` is told what answers and its URL. Raises BadRequest, Refused.

    Settings: `overrides` ("port=0") over those that the package or run came with.
    """
    asked = load(ServeConfig, None, overrides, {})
    found = opened(path, signer, asked.tier)
    config = load(ServeConfig, None, overrides, found.settings)
    served = Served(found.name, found.model, found.signed_by, found.created)
    run.serve(found.predictor, served, config, lambda url: ready(found, url))
