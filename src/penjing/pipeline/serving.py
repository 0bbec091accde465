"""Serves a package, or the newest tier of a run that is still under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from penjing.core.config import load
from penjing.core.protocols import Signer
from penjing.pipeline.opened import opened
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.http import Served
from penjing.stages.serve.run import serve_tier


def serve(path: Path, overrides: Sequence[str], signer: Signer, say: Callable[[str], None]) -> None:
    """Verify, open, warm and answer until told to stop; `say` is told the address. Raises BadRequest, Refused."""
    asked = load(ServeConfig, None, overrides, {})
    found = opened(path, signer, asked.tier)
    config = load(ServeConfig, None, overrides, found.settings)
    by = f"signed by {found.signed_by}" if found.signed_by else "not signed: a run that is not packed yet"
    served = Served(found.name, found.model, found.signed_by, found.created)
    serve_tier(
        found.tier, served, config, lambda url: say(f"{found.name} ({by}) answers with tier {found.tier.name!r} at {url} . Stop it with Ctrl-C.")
    )
