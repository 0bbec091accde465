"""The energy of answers grows with the work that they take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penjing.core.protocols import Subject
from penjing.core.types import Row
from penjing.plugins.checks.energy import MEASURES, energy
from penjing.plugins.tasks.text_classification import TextClassification


def subject_that_works(seconds_a_row: float, rows: int = 40) -> tuple[Subject, list[int]]:
    asked: list[int] = []

    def predict(given: Sequence[Row]) -> list[dict[str, Any]]:
        asked.append(len(given))
        until = time.process_time() + seconds_a_row * len(given)
        while time.process_time() < until:
            pass
        return [{"label": "a"} for _ in given]

    return Subject(TextClassification("y", ["x"], ["a", "b"]), [{"x": "…", "y": "a"}] * rows, lambda rows: {}, predict, Path()), asked


def test_answers_that_take_ten_times_the_work_take_more_energy() -> None:
    (light,), (heavy,) = (energy(subject_that_works(seconds)[0]) for seconds in (0.0001, 0.001))
    assert light.name == MEASURES[0] and light.unit == "Wh" and light.better == "lower"
    # At the least 2 W for 0.1 s or 1 s of a core, for a thousand answers.
    assert heavy.low is not None and heavy.low > 0.9 * 2 * 1.0 / 3600
    assert heavy.value > 2 * light.value
    assert light.low is not None and light.high is not None and light.low <= light.value <= light.high


def test_few_rows_are_answered_again_and_the_figure_is_still_for_a_thousand() -> None:
    subject, asked = subject_that_works(0.001, rows=10)
    (measured,) = energy(subject)
    assert measured.n == sum(asked[1:]) > 10  # the first call warms up
