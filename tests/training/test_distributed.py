"""Who may learn together is said before anything is spent."""

from __future__ import annotations

import pytest

from penjing.core import plugins
from penjing.core.config import Section, check
from penjing.core.errors import ConfigError, PlanError
from penjing.training.distributed import Distributed, why_alone
from penjing.training.regime import Regime


class Steps(Regime):
    pass


class Parts(Section):
    pass


@pytest.mark.changes("distributed.mode")
def test_alone_asks_nothing_of_the_machine_and_several_want_a_core_each() -> None:
    assert Distributed().refused({"linear": Parts()}, cores=1) == ""
    with pytest.raises(PlanError, match="asks for 2 workers, and this machine has 1 cores"):
        Distributed(mode="data-parallel").refused({"net": Steps()}, cores=1)


@pytest.mark.changes("distributed.workers")
def test_more_workers_than_cores_are_refused() -> None:
    assert Distributed(mode="data-parallel", workers=4).shared(cores=4) == (4, 1)
    assert Distributed(mode="data-parallel").shared(cores=4) == (2, 2)
    with pytest.raises(PlanError, match="asks for 5 workers, and this machine has 4 cores. Ask for fewer"):
        Distributed(mode="data-parallel", workers=5).shared(cores=4)


@pytest.mark.changes("distributed.threads")
def test_workers_share_the_cores_out_unless_told_their_threads() -> None:
    assert Distributed(mode="data-parallel", workers=3).shared(cores=8) == (3, 2)
    assert Distributed(mode="data-parallel", workers=3, threads=1).shared(cores=8) == (3, 1)
    with pytest.raises(PlanError, match="asks for 3 workers of 3 threads, and this machine has 8 cores"):
        Distributed(mode="data-parallel", workers=3, threads=3).shared(cores=8)


@pytest.mark.parametrize("given", [{"workers": 2}, {"threads": 1}, {"mode": "alone", "workers": 1}])
def test_workers_that_would_do_nothing_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="workers and threads are for mode: data-parallel"):
        check(Distributed, given, "penjing.yaml")


def test_what_is_written_down_is_read_again() -> None:
    for given in (Distributed(), Distributed(mode="data-parallel", workers=2)):
        assert check(Distributed, given.model_dump(mode="json"), "penjing.yaml") == given


def test_tiers_that_learn_alone_all_the_same_are_named_and_refused_where_there_are_no_others() -> None:
    together = Distributed(mode="data-parallel")
    told = together.refused({"linear": Parts(), "net": Steps()}, cores=2)
    assert told == "Learnt by one worker all the same: tier 'linear' does not learn in steps that could be shared out."
    assert together.refused({"net": Steps()}, cores=2) == ""
    with pytest.raises(PlanError, match="distributed has nothing to share out: tier 'linear' does not learn in steps"):
        together.refused({"linear": Parts()}, cores=2)


def test_what_options_say_of_themselves_is_heard() -> None:
    class Frozen(Regime):
        @property
        def alone(self) -> str:
            return "has nothing but a head to learn"

    assert why_alone(Frozen()) == "has nothing but a head to learn"


@pytest.mark.parametrize("name", ["linear", "boosted-trees", "tabular-linear"])
def test_learners_that_are_no_nets_learn_alone(name: str) -> None:
    assert why_alone(plugins.options("learners", name)())


def test_a_network_learns_in_steps() -> None:
    assert not why_alone(plugins.options("learners", "tabular-network")())
