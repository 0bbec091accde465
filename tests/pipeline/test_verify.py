"""packaged → served: the same rows through the package and a server that says it runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penjing.package.open import Package
from penjing.pipeline.config import read_config
from penjing.pipeline.run import run
from penjing.pipeline.start import signer
from penjing.pipeline.verify import Served, compare_served
from penjing.security.keys import make_key
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.run import serving
from penjing.stages.serve.service import Served as Said

TIERS = ["linear", {"learner": "linear", "name": "coarse", "word_ngrams": 1, "char_ngrams": None, "buckets": 1024, "epochs": 1}]


@pytest.fixture
def packed(tmp_path: Path, home: Path) -> tuple[Package, Path]:
    make_key(home)
    rows = [f"{'works well' if i % 3 else 'made me sick'} on day {i},{'good' if i % 3 else 'bad'}" for i in range(300)]
    source = tmp_path / "reviews.csv"
    source.write_text("review,rating\n" + "\n".join(rows) + "\n")
    config = read_config(
        None, (), {"data": {"source": str(source), "target": "rating"}, "tiers": TIERS, "pack": {"tier": "linear", "include": "all"}}
    )
    done = run(config, tmp_path / "run", signer())
    assert done.packed is not None
    return done.packed.package, source


def served(package: Package, source: Path, name: str, model: str, tier: str | None = None) -> Served:
    predictor = package.predictor(tier)
    with serving(predictor, Said(name, model, "me", "now"), ServeConfig(port=0)) as url:
        return compare_served(package, url, source)


def test_a_server_of_the_package_answers_as_the_package_does(packed: tuple[Package, Path]) -> None:
    package, source = packed
    found = served(package, source, "reviews", package.manifest.model)
    assert found.holds
    assert found.cause is None
    assert (found.same, found.rows) == (256, 256)
    assert found.score is not None
    assert (found.score.value, found.score.wins, found.score.losses) == (0.0, 0, 0)


def test_a_server_of_another_tier_is_found_out_and_the_tier_named(packed: tuple[Package, Path]) -> None:
    package, source = packed
    found = served(package, source, "reviews", package.manifest.model, "coarse")
    assert not found.holds
    assert found.cause == "the server's tier is 'coarse', the package's 'linear'"


def test_a_server_of_another_model_is_found_out_by_its_digest(packed: tuple[Package, Path]) -> None:
    package, source = packed
    found = served(package, source, "reviews", "0" * 64, "coarse")
    assert found.cause == f"the server's model is '000000000000', the package's {package.manifest.model[:12]!r}"


def test_a_server_that_lies_about_what_it_runs_is_found_out_by_its_answers(packed: tuple[Package, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    package, source = packed
    coarse = package.predictor("coarse")
    object.__setattr__(coarse, "name", "linear")
    with serving(coarse, Said("reviews", package.manifest.model, "me", "now"), ServeConfig(port=0)) as url:
        found = compare_served(package, url, source)
    assert not found.holds
    assert found.cause is not None
    assert "is answered otherwise" in found.cause


def test_rows_without_answers_are_compared_without_a_score(packed: tuple[Package, Path], tmp_path: Path) -> None:
    package, _ = packed
    bare = tmp_path / "bare.csv"
    bare.write_text("review\nworks well on day 3\nmade me sick\n")
    found = served(package, bare, "reviews", package.manifest.model)
    assert found.holds
    assert found.score is None
