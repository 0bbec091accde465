"""Shapes: P rows of the population, S settings, W width of the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from penjing.core.cascade import Cascade
from penjing.core.types import NDArray
from penjing.plugins.tasks.multi_label_text_classification import MultiLabelTextClassification
from penjing.plugins.tasks.text_regression import TextRegression
from penjing.stages.calibrate.certificate import Keep, Promise, certified
from penjing.stages.calibrate.search import Found, Search

Make = Callable[..., Any]
VALIDATION = np.arange(600)
CALIBRATION = np.arange(600, 1600)
AGREE = Promise("agreement", 0.95, 0.95)


def cheap_and_dear(world: Make, **given: Any) -> Any:
    return world(**{"cheap": (1.5, 1.0), "dear": (6.0, 20.0)} | given)


def names(found: Found) -> list[str]:
    return list(found.cascade["tiers"])


# The guarantee


def true_losses(search: Search, world: Any, promise: Promise) -> NDArray:
    """Return (S, P): what every setting of the path, which validation rows fixed, loses on every row there could be."""
    reference = search.reference
    order, settings = search._cheapest(reference, promise)
    everyone = world.rows(np.arange(len(world.target)))
    theirs, _ = search.alone(reference).from_said(world.said)
    cascades = [search._cascade(reference, order, setting) for setting in settings]
    return np.stack([search._loss(cascade.from_said(world.said)[0], theirs, promise, everyone) for cascade in cascades]).astype(np.int8)


@pytest.mark.parametrize(
    ("keep", "about", "confidence", "rows"),
    [("agreement", 0.95, 0.9, 400), ("agreement", 0.97, 0.8, 500), ("accuracy", 0.03, 0.9, 500), ("accuracy", 0.04, 0.8, 400)],
)
def test_over_1000_calibration_sets_the_promise_is_broken_no_more_often_than_the_confidence_allows(
    world: Make, keep: Keep, about: float, confidence: float, rows: int
) -> None:
    population = cheap_and_dear(world, count=30_000)
    search = population.search(VALIDATION, CALIBRATION)
    loss_SP = true_losses(search, population, Promise(keep, about, confidence))
    true_S = loss_SP.mean(axis=1)
    # The hardest promise about there: one that the next bolder setting breaks by a hair.
    allowed = Promise(keep, about, confidence).allowed
    allowed = true_S[true_S > allowed].min() - 1e-9
    promise = Promise(keep, 1 - allowed if keep == "agreement" else allowed, confidence)
    broken_S = true_S > allowed
    assert 0 < broken_S.sum() < len(broken_S)
    random = np.random.default_rng(0)
    broken = made = 0
    for _ in range(1000):
        drawn = random.integers(0, loss_SP.shape[1], rows)
        count = certified(promise, (loss_P[drawn] for loss_P in loss_SP))
        made += count > 0
        broken += count > 0 and broken_S[count - 1]
    assert made > 500
    assert 0 < broken <= binom.ppf(0.999, 1000, 1 - confidence)


@pytest.mark.parametrize("promise", [Promise("agreement", 0.95, 0.9), Promise("accuracy", 0.03, 0.9)])
def test_what_is_found_is_the_last_setting_that_the_test_certifies(world: Make, promise: Promise) -> None:
    population = cheap_and_dear(world)
    search = population.search(VALIDATION, CALIBRATION)
    loss_SP = true_losses(search, population, promise)
    random = np.random.default_rng(1)
    for _ in range(5):
        drawn = random.integers(600, len(population.target), 500)
        population.redraw(search, drawn)
        found = search.found(promise)
        assert found.certified == certified(promise, (loss_P[drawn] for loss_P in loss_SP)) > 0
        assert found.cascade["steps"][0]["thresholds"] == found.settings[found.certified - 1][0]
        _, step_B = Cascade.read(found.cascade, search.tiers).from_said({name: said[drawn] for name, said in population.said.items()})
        assert found.share == (step_B == 0).mean()


def test_blends_and_path_do_not_know_the_calibration_rows(world: Make) -> None:
    population = cheap_and_dear(world)
    one, other = (population.search(VALIDATION, np.arange(start, start + 900)) for start in (600, 2000))
    first, second = one.found(AGREE), other.found(AGREE)
    assert first.settings == second.settings
    assert one.blends.of(("cheap",))[0].described() == other.blends.of(("cheap",))[0].described()


# What is found


def test_the_cheap_tier_answers_what_it_is_sure_of(world: Make) -> None:
    found = cheap_and_dear(world).search(VALIDATION, CALIBRATION).found(AGREE)
    assert found.cascade["name"] == "cascade"
    assert found.order == ["cheap", "dear"]
    assert 0.05 < found.share < 1
    assert found.why.startswith(f"Cascade: {found.share:.0%} of the calibration rows")


def test_the_order_is_by_work_and_not_by_the_config(world: Make) -> None:
    population = world(dear=(6.0, 20.0), cheap=(1.5, 1.0))
    assert population.search(VALIDATION, CALIBRATION).found(AGREE).order == ["cheap", "dear"]


def test_a_looser_promise_answers_more_cheaply(world: Make) -> None:
    search = cheap_and_dear(world).search(VALIDATION, CALIBRATION)
    shares = [search.found(Promise("agreement", limit, 0.95)).share for limit in (0.98, 0.95, 0.9, 0.8)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_a_tier_that_knows_nothing_is_left_out_and_the_reference_answers_alone(world: Make) -> None:
    found = cheap_and_dear(world, cheap=(0.0, 19.0)).search(VALIDATION, CALIBRATION).found(AGREE)
    assert names(found) == ["dear"]
    assert found.certified == 0
    assert "dear answers every row. No cheaper tier would save work on the validation rows and keep the promise." in found.why


def test_a_tier_between_that_does_not_pay_for_itself_is_left_out(world: Make) -> None:
    population = cheap_and_dear(world, between=(1.5, 18.0))
    population.said["between"] = population.said["cheap"]
    assert population.search(VALIDATION, CALIBRATION).found(AGREE).order == ["cheap", "dear"]


def test_a_tier_between_that_pays_is_taken(world: Make) -> None:
    found = cheap_and_dear(world, between=(5.0, 2.0), dear=(9.0, 100.0)).search(VALIDATION, CALIBRATION).found(AGREE)
    assert "between" in found.order
    assert found.order[-1] in ("dear", "between")


def test_a_blend_may_be_the_reference_and_its_cheaper_member_the_first_step(world: Make) -> None:
    population = world(6000, cheap=(3.0, 1.0), dear=(3.0, 20.0))
    search = population.search(np.arange(1500), np.arange(1500, 3500))
    assert search.reference == ("cheap", "dear")
    found = search.found(AGREE)
    assert [step["blend"]["tiers"] for step in found.cascade["steps"]] == [["cheap"], ["cheap", "dear"]]


def test_the_work_of_an_early_exit_is_part_of_what_goes_on_from_it(world: Make) -> None:
    population = world(**{"deep@exit-1": (1.5, 5.0), "deep": (6.0, 10.0), "other": (1.0, 3.0)})
    population.wholes = {"deep@exit-1": "deep"}
    search = population.search(VALIDATION, CALIBRATION)
    assert search._work_of(["deep@exit-1", "deep"]) == 10.0
    assert search._work_of(["deep@exit-1", "other"]) == 8.0


def test_each_class_gets_a_threshold_of_its_own_where_that_is_asked(world: Make) -> None:
    population = cheap_and_dear(world)
    cheap = population.said["cheap"].copy()
    cheap[:, 2] += 2.0  # class c is named too often, and so is right less often where it is
    population.said["cheap"] = cheap
    one, each = (population.search(VALIDATION, CALIBRATION, per_class).found(AGREE) for per_class in (False, True))
    assert [len(setting[0]) for setting in one.settings] == [1] * len(one.settings)
    assert {len(setting[0]) for setting in each.settings} == {3}
    assert len(set(each.settings[each.certified - 1][0])) > 1


def test_many_tiers_are_searched_without_trying_every_choice_of_them(world: Make) -> None:
    tiers = {f"tier{i}": (0.5 + i / 2, float(2**i)) for i in range(9)}
    found = world(1200, **tiers).search(np.arange(300), np.arange(300, 1200)).found(Promise("agreement", 0.9, 0.95))
    assert 1 <= len(found.order) <= 9


# What is said


def test_with_too_few_rows_the_reference_answers_alone_and_it_is_said_how_many_are_needed(world: Make) -> None:
    found = cheap_and_dear(world).search(VALIDATION, np.arange(600, 650)).found(AGREE)
    assert names(found) == ["dear"]
    assert found.rows_needed == 59
    assert "50 calibration rows, and at least 59 are needed" in found.why
    assert "the reference's answer on at least 95.0% of rows" in found.why


def test_without_calibration_rows_it_is_the_same(world: Make) -> None:
    search = cheap_and_dear(world).search(VALIDATION, np.zeros(0, np.int64))
    assert "0 calibration rows" in search.found(AGREE).why
    assert search.of_calibration().shape == (0, 3)
    assert search.notices() == []


def test_a_promise_that_no_share_is_proved_to_keep_is_not_made(world: Make) -> None:
    population = cheap_and_dear(world)
    population.said["cheap"][600:] = -5 * population.said["cheap"][600:]  # sure, and wrong
    found = population.search(VALIDATION, CALIBRATION).found(AGREE)
    assert names(found) == ["dear"]
    assert "No share of cheaper answers is proved to keep it on 1000 calibration rows" in found.why


def test_one_tier_is_calibrated_and_answers_alone(world: Make) -> None:
    found = world(only=(2.0, 1.0)).search(VALIDATION, CALIBRATION).found(AGREE)
    assert names(found) == ["only"]
    assert found.why == "only answers every row. It is the only tier."


def test_with_hardly_any_validation_rows_the_dearest_tier_answers_as_it_is(world: Make) -> None:
    search = cheap_and_dear(world).search(np.arange(5), CALIBRATION)
    found = search.found(AGREE)
    assert names(found) == ["dear"]
    assert found.cascade["steps"][0]["blend"]["method"] == "none"
    assert "5 validation rows are too few to blend or calibrate by" in found.why


def test_numbers_are_handed_to_no_cheaper_tier(world: Make) -> None:
    population = world(1600, cheap=(np.zeros((1600, 1), np.float32), 1.0), dear=(np.zeros((1600, 1), np.float32), 9.0))
    population.task, population.target = TextRegression("rating", ["text"], 0.0, 1.0), np.random.default_rng(0).normal(size=1600)
    population.said = {name: (population.target[:, None] * share).astype(np.float32) for name, share in (("cheap", 0.5), ("dear", 1.0))}
    search = population.search(VALIDATION, CALIBRATION)
    for promise in (AGREE, Promise("accuracy", 0.01, 0.95)):
        assert "so no row is handed to a cheaper tier" in search.found(promise).why
        assert names(search.found(promise)) == ["dear"]


def test_several_labels_a_row_can_be_promised_too(world: Make) -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 2, (2000, 2))
    said = {name: (random.normal(size=(2000, 2)) + s * (2 * target - 1)).astype(np.float32) for name, s in (("cheap", 2.0), ("dear", 5.0))}
    population = world(2000, cheap=(said["cheap"], 1.0), dear=(said["dear"], 20.0))
    population.task = MultiLabelTextClassification("rating", ["text"], ["x", "y"], "|")
    population.rows = lambda numbers: [
        {"text": "", "number": int(i), "rating": "|".join(label for label, has in zip("xy", target[i], strict=True) if has)} for i in numbers
    ]
    found = population.search(VALIDATION, CALIBRATION).found(AGREE)
    assert found.order == ["cheap", "dear"]
    assert found.share > 0.2


# What is noticed


def test_fair_rows_and_confidences_raise_no_notice(world: Make) -> None:
    population = cheap_and_dear(world, count=6000)
    search, random = population.search(VALIDATION, CALIBRATION), np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        population.redraw(search, random.integers(600, 6000, 300))
        alarms += bool(search.notices())
    assert alarms <= 3  # two tests each at 0.001


def test_calibration_rows_with_other_labels_are_noticed(world: Make) -> None:
    population = cheap_and_dear(world)
    rare = np.flatnonzero(population.target == 2)
    search = population.search(VALIDATION, np.r_[CALIBRATION[:300], rare[rare > 600][:200]])
    assert any("the calibration rows are answered with other classes than the validation rows" in sentence for sentence in search.notices())


def test_confidences_that_say_nothing_are_noticed_by_the_name_of_the_tier(world: Make) -> None:
    population = cheap_and_dear(world, shares=(1 / 3, 1 / 3, 1 / 3))
    random = np.random.default_rng(1)
    cheap = population.said["cheap"]
    # Six answers of ten are right, and each is as sure as some other row's was.
    sharpness_P = np.ptp(cheap, axis=1)
    answer_P = np.where(random.random(len(cheap)) < 0.6, population.target, (population.target + 1) % 3)
    population.said["cheap"] = (np.eye(3)[answer_P] * random.permutation(sharpness_P)[:, None]).astype(np.float32)
    notices = population.search(VALIDATION, CALIBRATION).notices()
    assert any("The confidence of cheap is not shown to tell" in sentence for sentence in notices)
    assert not any("The confidence of dear" in sentence for sentence in notices)


def test_confidences_that_are_calibrated_in_steps_are_compared_by_the_same_steps(world: Make) -> None:
    population = world(count=12_000, shallow=(1.5, 1.0))
    said = population.said["shallow"]
    said[:] = np.where(said > 1.5, 1.5 + (said - 1.5) * 9, said * 0.2)
    alarms = 0
    for seed in range(20):
        everyone = np.random.default_rng(seed).permutation(12_000)
        search = population.search(everyone[:6000], everyone[6000:])
        assert search.blends.of(search.reference)[0].method == "isotonic"
        alarms += bool([sentence for sentence in search.notices() if sentence.startswith("Unlike")])
    assert alarms == 0
