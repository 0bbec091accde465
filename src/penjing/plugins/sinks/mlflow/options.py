"""Options of the sink for MLflow."""

from __future__ import annotations

from pydantic import Field

from penjing.core.config import Section


class Options(Section):
    tracking: str | None = None
    """Where MLflow keeps its runs: the address of a tracking server, such as http://10.0.0.5:5000, or a folder; log/mlflow in the run's own
    folder where not given. Only an address makes Penjing use the network."""
    experiment: str = Field(default="penjing", min_length=1)
    """Name of the experiment, made where it is not there."""
