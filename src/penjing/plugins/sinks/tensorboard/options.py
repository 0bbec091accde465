"""Options of the sink for TensorBoard."""

from __future__ import annotations

from penjing.core.config import Section


class Options(Section):
    folder: str | None = None
    """Folder of the event files, for several runs beside each other; log/tensorboard in the run's own folder where not given."""
