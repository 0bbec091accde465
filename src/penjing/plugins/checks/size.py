"""How much disk it takes."""

from __future__ import annotations

from penjing.core.files import files_of
from penjing.core.protocols import Subject
from penjing.core.types import Measurement

MEASURES = ("size_bytes",)


def size(subject: Subject) -> list[Measurement]:
    total = sum(path.stat().st_size for path in files_of(subject.folder) if "measured" not in path.parts)
    return [Measurement("size_bytes", float(total), "B", method="sum of the tier's files", better="lower")]
