"""The `serve` section of penjing.yaml."""

from __future__ import annotations

from pydantic import Field

from penjing.core.config import Section


class ServeConfig(Section):
    host: str = "127.0.0.1"
    """Address to listen on. 0.0.0.0 answers the whole network; there is no log-in, so put a gateway before it."""
    port: int = Field(8080, ge=0, le=65535)
    """TCP port to listen on; 0 takes any free one."""
    max_rows: int = Field(64, ge=1)
    """Rows that the model computes in one batch, at most."""
    max_tokens: int = Field(8192, ge=1)
    """Tokens of all rows of a batch together, at most; a row without tokens counts as one, and a single row always goes."""
    max_wait_ms: float = Field(2.0, ge=0, le=1000)
    """Milliseconds that a batch may wait for more rows while several clients are asking. A lone request never waits."""
    queue_rows: int = Field(1024, ge=1)
    """Rows that may wait for the model. A request that finds no room is answered 503, or 429 where others ask less; more rows than this, 413."""
    timeout_ms: float = Field(30_000, gt=0)
    """Milliseconds after which nobody needs an answer any more, where a request does not say: one that would take longer is refused at once."""
    max_body_mb: float = Field(8.0, gt=0)
    """Size of a request's body in megabytes (10^6 bytes), at most."""
    tier: str | None = None
    """Name of the tier that answers; without it the one that the package chose."""
