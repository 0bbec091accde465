"""The `distributed:` section: whether several workers learn a tier together, and which tiers they can. Light: torch is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from penjing.core.config import Section
from penjing.core.errors import PlanError
from penjing.training.regime import Regime

_WORKERS = 2


class Distributed(Section):
    """Who learns a tier."""

    mode: Literal["alone", "data-parallel"] = "alone"
    """alone: one process. data-parallel: several on this machine learn one model, each from its share of the rows of every step; their gradients are
    summed, and what they learn is what one would, but for rounding and for what is drawn at chance. A worker that dies is started again with the
    others, from the last checkpoint. Tiers that do not learn in steps, such as linear, learn alone."""
    workers: int | None = Field(default=None, ge=1, le=1024)
    """Processes; left out: 2. Each holds the whole model. Only with mode: data-parallel."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads of each worker; left out: as many as there are cores for each. Only with mode: data-parallel."""

    @model_validator(mode="after")
    def _acts(self) -> Distributed:
        if self.mode == "alone" and (self.workers or self.threads):
            raise ValueError("workers and threads are for mode: data-parallel. Set that, or leave them out")
        return self

    def shared(self, cores: int) -> tuple[int, int]:
        """Return workers and the threads of each, on a machine of `cores`. Raises PlanError where they are more than there are cores."""
        workers = self.workers or _WORKERS
        threads = self.threads or max(1, cores // workers)
        if workers * threads > cores:
            asked = f"{workers} workers" if threads == 1 else f"{workers} workers of {threads} threads"
            raise PlanError(f"distributed asks for {asked}, and this machine has {cores} cores. Ask for fewer under distributed, or leave it out.")
        return workers, threads

    def count(self, options: Any) -> int:
        """Return how many workers learn a tier of these options."""
        return (self.workers or _WORKERS) if self.shares(options) else 1

    def shares(self, options: Any) -> bool:
        """Return whether several workers learn a tier of these options."""
        return self.mode != "alone" and not why_alone(options)

    def refused(self, tiers: Mapping[str, Any], cores: int) -> str:
        """Return what to tell of the tiers (options by name) that learn alone all the same, in a sentence, or nothing.

        Raises PlanError where there are not the cores, or all of them would learn alone.
        """
        if self.mode == "alone":
            return ""
        self.shared(cores)
        alone = {name: why for name, options in tiers.items() if (why := why_alone(options))}
        told = "; ".join(f"{name!r} {why}" for name, why in alone.items())
        if alone and len(alone) == len(tiers):
            raise PlanError(f"distributed has nothing to share out: tier {told}. Leave distributed out, or add a tier that learns in steps.")
        return f"Learnt by one worker all the same: tier {told}." if alone else ""


def why_alone(options: Any) -> str:
    """Return why one worker learns a tier of these options, in words that follow its name; nothing where several can."""
    if not isinstance(options, Regime):
        return "does not learn in steps that could be shared out"
    return options.alone
