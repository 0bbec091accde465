"""What a tier will cost is told before anything is spent; what cannot be is refused, with what could."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from penjing.core import plugins
from penjing.core.config import Section
from penjing.core.errors import PlanError
from penjing.core.learning.tiers import TierConfig
from penjing.core.machine import Machine
from penjing.core.protocols import Silent
from penjing.core.snapshot import Snapshot
from penjing.core.types import Estimate, Row, Spec
from penjing.stages.budget import BudgetConfig, Climb
from penjing.stages.plan import Plan, beside, cheaper, plan
from penjing.stages.prepare.config import DataConfig
from penjing.stages.prepare.prepare import prepare
from penjing.training.regime import Regime

GIGA = 10**9


class Options(Regime):
    piece: int = 8192
    tune: Literal["full", "partial", "frozen"] = "full"


class Costly:
    """A learner whose costs follow from its options: 10 s an epoch, a tenth of it partly tuned; memory by the piece."""

    processor: ClassVar[str] = "ngrams"
    Options: ClassVar[type[Section]] = Options
    gigabytes: ClassVar[float] = 0.001

    @classmethod
    def plan(
        cls, options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int
    ) -> Estimate:
        seconds = 1.0 + {"full": 10.0, "partial": 1.0, "frozen": 0.0}[options.tune] * options.epochs
        needed = cls.gigabytes * options.piece / 8192 * (0.5 if options.checkpointing else 1.0)
        return Estimate(seconds, int(needed * GIGA), 1000, "made up", memory_low=int(0.9 * needed * GIGA))


@pytest.fixture
def data(tmp_path: Path) -> Snapshot:
    (tmp_path / "rows.csv").write_text("text,answer\n" + "".join(f"row {i} says so,{'yes' if i % 2 else 'no'}\n" for i in range(100)))
    (tmp_path / "data").mkdir()
    prepare(DataConfig(source=str(tmp_path / "rows.csv"), target="answer"), None, 0, tmp_path / "data", Silent())
    return Snapshot.open(tmp_path / "data")


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> type[Costly]:
    """The learner, known by the name `costly`."""
    real = plugins.load
    kind = type("Fresh", (Costly,), {})
    monkeypatch.setattr(plugins, "load", lambda of, name: kind if (of, name) == ("learners", "costly") else real(of, name))
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: Machine("slow", 2, 20 * GIGA, False)))
    return kind


def tier(**options: Any) -> TierConfig:
    return TierConfig("costly", "costly", Options(**options))


def planned(data: Snapshot, tmp_path: Path, asked_for: bool = True, budget: dict[str, Any] | None = None, **options: Any) -> Plan:
    climb = Climb(BudgetConfig(**budget), 0.0, 0.0) if budget else None
    return plan([tier(**options)], asked_for, data, tmp_path, budget=climb)


# Memory


def test_what_does_not_fit_is_refused_with_figures_and_what_would_fit(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    costly.gigabytes = 31.0
    with pytest.raises(
        PlanError, match=r"needs about 31\.0 GB of memory and 20\.0 GB are free \(made up\)\. Set piece: 2048 \(7\.8 GB\) or piece: 512"
    ):
        planned(data, tmp_path)


def test_what_fits_but_for_the_high_end_is_not_refused(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    costly.gigabytes = 21.0  # 18.9 at the low end
    assert planned(data, tmp_path).estimates["costly"].memory_bytes == 21 * GIGA


def test_what_nothing_makes_fit_is_refused_without_false_hopes(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    costly.gigabytes = 31_000.0
    with pytest.raises(PlanError, match="Free some, choose a smaller model, or leave the tier out"):
        planned(data, tmp_path)


# Trials


def test_a_trial_goes_before_the_formula(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    seen: list[float] = []

    def tries(tier: TierConfig, formula: Any) -> Estimate:
        seen.append(formula(7).seconds)
        return Estimate(99.0, 1, 1, probed=True)

    assert plan([tier()], True, data, tmp_path, tries).estimates["costly"].seconds == 99.0
    assert seen == [31.0]
    assert plan([tier()], True, data, tmp_path, lambda tier, formula: None).estimates["costly"].seconds == 31.0


def test_what_is_cheap_is_tried_only_where_that_is_asked_for_or_the_budget_is_tight(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    def probed(always: bool, **budget: Any) -> bool:
        climb = Climb(BudgetConfig(**budget), 0.0, 0.0)
        found = plan([tier()], True, data, tmp_path, lambda t, f: Estimate(31.0, 1, 1, probed=True), climb, always)
        return found.estimates["costly"].probed

    assert probed(always=True)
    assert not probed(always=False)
    assert not probed(always=False, time="1h")
    assert probed(always=False, time="60s")


def test_what_is_far_beyond_the_memory_is_not_even_tried(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    costly.gigabytes = 1000.0
    with pytest.raises(PlanError):
        plan([tier()], True, data, tmp_path, lambda t, f: pytest.fail("tried"))


def test_workers_that_learn_together_hold_the_memory_of_as_many(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    alone = plan([tier()], True, data, tmp_path).estimates["costly"]
    found = plan([tier()], True, data, tmp_path, workers=lambda options: 3).estimates["costly"]
    assert (found.memory_bytes, found.memory_low, found.memory_high) == tuple(
        3 * (bytes_ or 0) for bytes_ in (alone.memory_bytes, alone.memory_low, alone.memory_high)
    )
    assert found.seconds == alone.seconds
    assert found.why.endswith("held by 3 workers")
    costly.gigabytes = 12.0
    assert plan([tier()], True, data, tmp_path)
    with pytest.raises(PlanError, match="held by 9 workers"):
        plan([tier()], True, data, tmp_path, workers=lambda options: 9)


# The budget


def test_a_tier_that_nobody_asked_for_is_learnt_in_the_best_way_that_fits(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    found = planned(data, tmp_path, asked_for=False, budget={"time": "15s"}, epochs=4)
    assert (found.tiers[0].options.epochs, found.tiers[0].options.tune) == (1, "full")  # type: ignore[attr-defined]
    assert found.estimates["costly"].seconds == 11.0
    assert found.changed == {"costly": "it needs about 41 s, and of budget.time 15 s are left. Set for it, epochs: 1 (11 s, 1 MB)."}
    found = planned(data, tmp_path, asked_for=False, budget={"time": "6s"}, epochs=4)
    assert (found.tiers[0].options.epochs, found.tiers[0].options.tune) == (4, "partial")  # type: ignore[attr-defined]


def test_a_tier_that_the_user_asked_for_stays_as_it_is_and_is_told_what_would_fit(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    found = planned(data, tmp_path, budget={"time": "2s"}, epochs=4)
    assert found.tiers[0].options == Options(epochs=4)
    assert found.too_dear == {"costly": "it needs about 41 s, and of budget.time 2 s are left. Tune: partial, epochs: 1 would fit (2 s, 1 MB)."}


def test_a_tier_that_no_way_makes_fit_is_said_to_be_too_dear(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    found = planned(data, tmp_path, asked_for=False, budget={"time": "0.5s"})
    assert "No cheaper way to learn it would fit either" in found.too_dear["costly"]


def test_a_memory_budget_is_met_by_smaller_pieces(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    costly.gigabytes = 8.0
    found = planned(data, tmp_path, asked_for=False, budget={"memory": "3GB"})
    assert found.changed["costly"].endswith("Set for it, piece: 2048 (31 s, 2,000 MB).")


def test_a_learner_may_know_better_what_is_cheaper(costly: type[Costly]) -> None:
    costly.cheaper = classmethod(lambda cls, options: [options.model_copy(update={"batch_size": 7})])  # type: ignore[attr-defined]
    assert [(other.options.batch_size, told) for other, told in cheaper(tier())] == [(7, "batch_size: 7")]  # type: ignore[attr-defined]


def test_cheaper_ways_come_the_best_first(costly: type[Costly]) -> None:
    told = [change for _, change in cheaper(tier(epochs=4))]
    assert told == ["epochs: 2", "epochs: 1", "tune: partial", "tune: partial, epochs: 2", "tune: partial, epochs: 1", "tune: frozen"]
    told = [change for _, change in cheaper(tier(), memory=True)]
    assert told[:3] == ["piece: 2048", "piece: 512", "checkpointing: true"]
    assert told[-2:] == ["tune: partial", "tune: frozen"]


def test_what_would_do_nothing_in_a_cheaper_way_is_left_out() -> None:
    full = TierConfig.parse({"learner": "transformer", "tune": "full", "epochs": 4, "dropout": 0.1, "max_tokens": 64})
    *_, (frozen, told) = cheaper(full)
    assert told == "tune: frozen"
    assert {name: value for name, value in frozen.dump().items() if name in ("tune", "epochs", "dropout", "max_tokens")} == {
        "tune": "frozen",
        "epochs": 3,
        "dropout": 0.0,
        "max_tokens": 64,
    }


# Afterwards


def test_what_was_said_stands_beside_what_was_spent(data: Snapshot, tmp_path: Path, costly: type[Costly]) -> None:
    told = {"seconds": 20.0, "seconds_low": 10.0, "seconds_high": 30.0, "memory_bytes": 4, "memory_low": 2, "memory_high": 8, "watts": 5.0}
    [row] = beside({"one": {"seconds": 25.0, "memory_bytes": None, "joules": 50.0, "stopped": None, "estimate": told | {"probed": True}}})
    assert row["seconds"] == {"estimate": 20.0, "low": 10.0, "high": 30.0, "actual": 25.0, "ratio": 0.8}
    assert row["memory_bytes"]["ratio"] is None
    assert row["joules"] == {"estimate": 100.0, "low": 50.0, "high": 150.0, "actual": 50.0, "ratio": 2.0}
