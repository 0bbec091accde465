"""What could not act is refused when it is planned, and the rest is not."""

from __future__ import annotations

from typing import Any

import pytest

from penjing.core.errors import PlanError
from penjing.core.types import Spec
from penjing.training.regime import Regime, refused

CLASSES, NUMBER = Spec(3, "softmax"), Spec(1, "identity")


@pytest.mark.parametrize(
    ("regime", "spec", "given", "says"),
    [
        ({"label_smoothing": 0.1}, NUMBER, {}, "Leave label_smoothing out"),
        ({"ema_decay": 0.5}, CLASSES, {}, "Set average: ema"),
        ({"ema_decay": 0.5, "average": "swa"}, CLASSES, {}, "Set average: ema"),
        ({"piece": 64}, CLASSES, {"undivided": 100}, "Set batch_size: 64, or piece: 100"),
        ({"checkpointing": True}, CLASSES, {"checkpointing": "has no layers to speak of"}, "The tiny tier has no layers to speak of"),
    ],
)
def test_what_could_not_act_is_refused(regime: dict[str, Any], spec: Spec, given: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        refused(Regime(**regime), spec, "tiny", **given)


@pytest.mark.parametrize(
    ("regime", "given"),
    [
        ({}, {"undivided": 100, "checkpointing": "cannot"}),
        ({"label_smoothing": 0.1, "average": "ema", "ema_decay": 0.5, "checkpointing": True}, {}),
        ({"piece": 64}, {"undivided": 64}),
    ],
)
def test_what_can_act_is_not(regime: dict[str, Any], given: dict[str, Any]) -> None:
    refused(Regime(**regime), CLASSES, "tiny", **given)


def test_a_default_of_a_tier_that_differs_is_no_wish_of_the_user() -> None:
    class Options(Regime):
        ema_decay: float = 0.9

    refused(Options(), CLASSES, "tiny")
