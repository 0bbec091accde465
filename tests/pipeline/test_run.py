from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penjing.core.errors import BadRequest, ConfigError, PlanError
from penjing.core.files import read_json
from penjing.core.protocols import Silent
from penjing.package.open import open_package
from penjing.pipeline.config import read_config
from penjing.pipeline.opened import opened
from penjing.pipeline.run import Run, run
from penjing.pipeline.start import signer
from penjing.security.keys import make_key


class Told(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


def reviews(folder: Path, count: int = 120) -> Path:
    good, bad = "works well and I feel better", "terrible pain and it made me sick"
    rows = [f"{good if i % 2 else bad} after {i} days,{'positive' if i % 2 else 'negative'}" for i in range(count)]
    path = folder / "reviews.csv"
    path.write_text("review,rating\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(autouse=True)
def key(home: Path, request: pytest.FixtureRequest) -> None:
    if "makes_no_key" not in request.node.name:
        make_key(home)


def ran(tmp_path: Path, name: str = "run", told: Told | None = None, until: Any = "pack", **config: Any) -> Run:
    base = {"data": {"source": str(reviews(tmp_path)), "target": "rating"}, "tiers": ["linear"], **config}
    return run(read_config(None, (), base), tmp_path / name, signer(), told, until)


def test_all_three_tiers_are_learnt_exported_measured_and_packed(tmp_path: Path, tiny_model: Path) -> None:
    told = Told()
    transformer = {"learner": "transformer", "model": f"path:{tiny_model}"}
    tiers = ["linear", transformer | {"tune": "frozen"}, transformer | {"tune": "full", "epochs": 1}]
    done = ran(tmp_path, told=told, tiers=tiers, pack={"include": "all"})
    assert [entry["tier"] for entry in done.report["leaderboard"]] == ["linear", "transformer-frozen", "transformer-full"]
    assert done.packed is not None
    package = done.packed.package
    assert {tier.name for tier in package.manifest.tiers} == {"linear", "transformer-frozen", "transformer-full"}
    assert done.packed.parity[0].value == 1.0
    usable = [s for s in told.sentences if "usable" in s]
    assert len(usable) == 3
    assert all("100.0%" in s for s in usable)
    for step in done.report["leaderboard"]:
        assert step["parity"][0]["value"] == 1.0
    rows = done.data.rows("test")
    for tier in package.manifest.tiers:
        assert package.predictor(tier.name).predict(rows[:5]) == opened(tmp_path / "run", signer(), tier.name).predictor.predict(rows[:5])


def test_a_tier_answers_while_the_rest_of_the_run_is_still_to_come(tmp_path: Path) -> None:
    ran(tmp_path, until="train")
    found = opened(tmp_path / "run", signer())
    assert found.signed_by is None
    assert found.predictor.predict([{"review": "works well and I feel better"}])[0]["label"] == "positive"


def test_the_same_data_and_seed_give_the_same_model_digest_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (ran(tmp_path / name).packed for name in ("a", "b"))
    assert first is not None
    assert second is not None
    assert first.package.manifest.model == second.package.manifest.model


def test_a_changed_row_gives_another_model(tmp_path: Path) -> None:
    first = ran(tmp_path).packed
    path = tmp_path / "reviews.csv"
    base = {"data": {"source": str(path), "target": "rating"}, "tiers": ["linear"]}
    path.write_text(path.read_text() + "a new and cheerful sentence,positive\n")
    second = run(read_config(None, (), base), tmp_path / "run", signer()).packed
    assert first is not None
    assert second is not None
    assert first.package.manifest.model != second.package.manifest.model


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    ran(tmp_path)
    told = Told()
    again = ran(tmp_path, told=told)
    assert again.packed is not None
    assert again.packed.reused
    assert all(made.reused for made in again.made.values())


def test_a_deleted_or_damaged_package_is_sealed_again(tmp_path: Path) -> None:
    done = ran(tmp_path)
    assert done.packed is not None
    weights = next((tmp_path / "run" / "package").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    again = ran(tmp_path)
    assert again.packed is not None
    assert not again.packed.reused
    assert open_package(tmp_path / "run" / "package", signer()).manifest.model == done.packed.package.manifest.model


@pytest.mark.changes("pack.name")
@pytest.mark.changes("pack.license")
@pytest.mark.changes("pack.tier")
@pytest.mark.changes("tiers")
def test_the_package_is_named_licensed_and_answered_as_asked(tmp_path: Path) -> None:
    tiers = ["linear", {"learner": "linear", "name": "small", "buckets": 1024}]
    done = ran(tmp_path, tiers=tiers, pack={"name": "triage", "tier": "small", "license": "MIT"})
    assert done.packed is not None
    manifest = done.packed.package.manifest
    assert (manifest.name, manifest.serves) == ("triage", "small")
    assert "license: mit" in (tmp_path / "run" / "package" / "README.md").read_text().lower()
    other = ran(tmp_path, tiers=tiers)
    assert other.packed is not None
    assert (other.packed.package.manifest.name, other.packed.package.manifest.serves) == ("run", other.report["serves"])


def test_a_tier_to_answer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pack.tier is 'lniear'.*Did you mean 'linear'"):
        ran(tmp_path, pack={"tier": "lniear"})


def test_two_tiers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="same name"):
        ran(tmp_path, tiers=["linear", "linear"])


def test_a_model_folder_without_tokenizer_is_refused_before_anything_is_spent(tmp_path: Path, tiny_model: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadRequest, match=r"tokenizer.json"):
        ran(tmp_path, tiers=["linear", {"learner": "transformer", "model": f"path:{folder}"}])
    assert not (tmp_path / "run" / "train").exists()


def test_reports_and_packages_hold_no_text_of_any_row(tmp_path: Path) -> None:
    ran(tmp_path)
    for path in (tmp_path / "run" / "package").rglob("*"):
        if path.is_file():
            assert b"made me sick after" not in path.read_bytes(), path


def test_nothing_in_a_package_is_pickle_or_a_path_of_this_machine(tmp_path: Path, tiny_model: Path) -> None:
    ran(tmp_path, tiers=["linear", {"learner": "transformer", "model": f"path:{tiny_model}"}])
    for path in (tmp_path / "run" / "package").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert path.suffix not in (".pkl", ".pt", ".pth", ".bin") or not content.startswith((b"\x80", b"PK")), path
            assert str(tmp_path).encode() not in content, path
            assert str(tiny_model).encode() not in content, path


def test_lineage_leads_from_the_package_to_the_data(tmp_path: Path) -> None:
    done = ran(tmp_path)
    assert done.packed is not None
    lineage = done.packed.package.manifest.lineage
    assert lineage["tiers"]["linear"] == done.made["export/linear"].model
    assert lineage["inputs"]["linear"]["learnt"] == done.made["train/linear"].model
    assert read_json(done.made["train/linear"].folder / "artefact.json")["inputs"]["data"] == done.made["prepare"].model


@pytest.mark.parametrize(
    ("task", "first", "values"),
    [
        ("text-regression", "r2", [float(i % 7) + 0.5 for i in range(140)]),
        ("multi-label-text-classification", "micro_f1", [["cold", "warm|dry", "warm", "cold|dry"][i % 4] for i in range(140)]),
    ],
)
def test_every_task_goes_from_file_to_signed_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, first: str, values: list[Any]
) -> None:
    from penjing.cli.tables import leaderboard

    path = tmp_path / "data.csv"
    rows = [f"{' '.join(['day'] * (i % 7 + 1))} {str(v).replace('|', ' and ')} number {i},{v}" for i, v in enumerate(values)]
    path.write_text("text,answer\n" + "\n".join(rows) + "\n")
    done = run(read_config(None, (), {"data": {"source": str(path), "target": "answer"}, "tiers": ["linear"]}), tmp_path / "run", signer())
    assert done.report["task"] == task
    assert done.report["leaderboard"][0]["measurements"][0]["name"] == first
    assert done.report["leaderboard"][0]["measurements"][0]["value"] > 0.5
    assert done.packed is not None
    answer = done.packed.package.predictor().predict([{"text": "day day warm dry"}])[0]
    assert answer["tier"] == "linear"
    leaderboard(done.report)
    assert "linear *" in capsys.readouterr().out


def test_a_machine_that_only_verifies_makes_no_key(tmp_path: Path, home: Path) -> None:
    with pytest.raises(BadRequest):
        opened(tmp_path / "nothing", signer())
    assert not home.exists()
