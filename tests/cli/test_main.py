from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penjing.cli.main import VERBS

BLOCK = """
import importlib.machinery, sys
class Hidden(importlib.machinery.PathFinder):
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in {names!r} else importlib.machinery.PathFinder.find_spec(name, path, target)
sys.meta_path = [Hidden if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
"""
"""Makes libraries look as if they were not installed, in a fresh interpreter."""


def penjing(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penjing", *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)


def reviews(folder: Path, count: int = 80) -> Path:
    good, bad = "works well and I feel better", "terrible pain, it made me sick"
    lines = [f"{good if i % 2 else bad} after {i} days,{'positive' if i % 2 else 'negative'}" for i in range(count)]
    path = folder / "reviews.csv"
    path.write_text("review,rating\n" + "\n".join(line.replace("pain,", "pain and") for line in lines) + "\n")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with the linear tier; its keys lie beside it."""
    folder = tmp_path_factory.mktemp("done")
    ran = penjing(
        "run", str(reviews(folder)), "--target", "rating", "--tier", "linear", "--run", str(folder / "run"), PENJING_HOME=str(folder / "home")
    )
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture
def home_of_done(done: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(done / "home"))
    return done


def test_help_lists_every_verb_and_every_verb_explains_itself() -> None:
    shown = penjing("--help").stdout
    for verb, says in VERBS.items():
        assert says in " ".join(shown.split())
        explained = penjing(verb, "--help")
        assert explained.returncode == 0
        assert "Usage: penjing" in explained.stdout


def test_help_imports_nothing_heavy() -> None:
    program = "import sys; sys.argv = ['penjing', '--help']\nfrom penjing.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    heavy = ("numpy", "pydantic", "rich", "pyarrow", "scipy", "torch", "fastapi", "yaml")
    out = subprocess.run([sys.executable, "-c", f"{program}print([m for m in {heavy!r} if m in sys.modules])"], capture_output=True, text=True)
    assert out.stdout.splitlines()[-1] == "[]", out.stdout


def test_a_run_without_torch_transformers_or_ray_learns_signs_and_answers(tmp_path: Path) -> None:
    blocked = BLOCK.format(names=("torch", "transformers", "ray", "onnx"))
    program = f"{blocked}sys.argv = ['penjing', *sys.argv[1:]]\nfrom penjing.cli.main import main\nmain()\n"

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300)

    ran = call("run", str(reviews(tmp_path)), "--target", "rating", "--run", str(tmp_path / "run"))
    assert ran.returncode == 0, ran.stderr
    assert "Left out, tier 'transformer-frozen'" in ran.stderr
    assert "pip install 'penjing[train]'" in ran.stderr
    answered = call("predict", str(tmp_path / "run" / "package"), "--text", "works well and I feel better")
    assert '"label": "positive"' in answered.stdout


def test_a_tier_that_the_user_asked_for_is_refused_where_it_cannot_work(tmp_path: Path) -> None:
    blocked = BLOCK.format(names=("torch",))
    program = f"{blocked}sys.argv = ['penjing', *sys.argv[1:]]\nfrom penjing.cli.main import main\nmain()\n"
    arguments = ["run", str(reviews(tmp_path)), "--target", "rating", "--tier", "linear", "--tier", "transformer", "--run", str(tmp_path / "run")]
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 2
    assert "pip install 'penjing[train]'" in ran.stderr
    assert not (tmp_path / "run" / "train").exists(), "nothing is spent before a plan is refused"


def test_the_leaderboard_has_intervals_speed_size_and_time(done: Path) -> None:
    ran = penjing(
        "run", str(done / "reviews.csv"), "--target", "rating", "--tier", "linear", "--run", str(done / "run"), PENJING_HOME=str(done / "home")
    )
    assert "Stage train/linear: done before" in ran.stderr
    for column in ("accuracy", "macro-f1", "rows/s", "p95 ms", "size MB", "mWh/1000", "learnt in s"):
        assert column in ran.stdout
    assert "linear *" in ran.stdout
    assert "penjing serve" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run"], 2, "What is to be learnt from?"),
        (["run", "nothing.csv", "--target", "x"], 2, "nothing.csv does not exist"),
        (["run", "reviews.csv"], 2, "There is: review, rating"),
        (["run", "reviews.csv", "--target", "ratign"], 2, "Did you mean 'rating'?"),
        (["run", "reviews.csv", "--target", "rating", "--set", "sede=1"], 2, "there is no key 'sede'. Did you mean 'seed'?"),
        (["run", "reviews.csv", "--target", "rating", "--tier", "linaer"], 2, "Did you mean 'linear'?"),
        (["run", "reviews.csv", "--target", "rating", "--set", "tiers=[{learner: linear, bukets: 8}]"], 2, "Did you mean 'buckets'?"),
        (["run", "reviews.csv", "--target", "rating", "--task", "text-clasification"], 2, "Did you mean 'text-classification'?"),
        (["verify", "nothing"], 2, "nothing does not exist"),
        (["serve", "reviews.csv"], 2, "is not a package"),
        (["predict", "nothing", "--text", "x"], 2, "does not exist"),
        (["evaluate", "--package", "x"], 2, "Give the file"),
        (["rnu"], 2, "No such command"),
    ],
)
def test_a_bad_request_is_one_sentence_with_exit_code_two(tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    reviews(tmp_path)
    ran = penjing(*arguments, cwd=tmp_path)
    assert ran.returncode == code, ran.stderr
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not list(tmp_path.glob("runs/*/package"))


def test_a_changed_byte_is_exit_code_four(home_of_done: Path, tmp_path: Path) -> None:
    import shutil

    package = tmp_path / "package"
    shutil.copytree(home_of_done / "run" / "package", package)
    assert penjing("verify", str(package)).returncode == 0
    weights = max((p for p in package.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    for verb in (["verify"], ["serve", "--port", "0"], ["predict", "--text", "x"]):
        ran = penjing(verb[0], str(package), *verb[1:])
        assert ran.returncode == 4, ran.stderr
        assert weights.name in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_package_signed_by_a_stranger_is_refused_until_its_key_is_trusted(home_of_done: Path, tmp_path: Path) -> None:
    stranger = {"PENJING_HOME": str(tmp_path / "stranger")}
    penjing("init", **stranger)
    package = str(home_of_done / "run" / "package")
    refused = penjing("verify", package, **stranger)
    assert refused.returncode == 4
    assert "does not trust" in refused.stderr
    public = next(p for p in (home_of_done / "home").rglob("*") if p.is_file() and b"PUBLIC" in p.read_bytes())
    assert penjing("init", "--trust", str(public), "--name", "the-hospital", **stranger).returncode == 0
    accepted = penjing("verify", package, **stranger)
    assert accepted.returncode == 0
    assert "the-hospital" in accepted.stdout


def test_predict_writes_csv_and_jsonl_and_keeps_the_users_columns(home_of_done: Path, tmp_path: Path) -> None:
    for ending in ("csv", "jsonl"):
        out = tmp_path / f"out.{ending}"
        ran = penjing("predict", str(home_of_done / "run" / "package"), str(home_of_done / "reviews.csv"), "-o", str(out))
        assert ran.returncode == 0, ran.stderr
        lines = out.read_text().splitlines()
        assert len(lines) == 80 + (ending == "csv")
        assert all(name in lines[0] for name in ("review", "rating", "label", "score", "tier"))
    other = tmp_path / "other.csv"
    other.write_text("reviwe\nx\n")
    ran = penjing("predict", str(home_of_done / "run" / "package"), str(other), "-o", str(tmp_path / "o.csv"))
    assert ran.returncode == 2
    assert "Did you mean 'reviwe'" in ran.stderr or "no column 'review'" in ran.stderr
    assert not (tmp_path / "o.csv").exists()


def test_the_options_of_a_run_say_what_is_read_tested_and_kept_together(tmp_path: Path) -> None:
    lines = [f"words of kind {'ab'[i % 2]} in row {i},a note on row {i},{i % 5},p{i // 4}" for i in range(80)]
    header = "story,note,stars,patient\n"
    (tmp_path / "data.csv").write_text(header + "\n".join(lines) + "\n")
    (tmp_path / "test.csv").write_text(header + "quite other words,another note,3,p99\n")
    options = ["--target", "stars", "--column", "story", "--column", "note", "--test", "test.csv", "--group", "patient", "--task", "text-regression"]
    ran = penjing("prepare", "data.csv", *options, "--run", "here", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    described = json.loads((tmp_path / "here" / "prepare" / "data.json").read_text())
    assert described["columns"] == ["story", "note"]
    assert described["task"]["name"] == "text-regression"
    assert described["counts"]["test"] == 1
    # 80 rows in groups of four: a share that keeps groups whole is a multiple of four.
    assert described["counts"]["validation"] % 4 == 0


def test_evaluate_measures_a_package_on_other_rows(home_of_done: Path) -> None:
    ran = penjing("evaluate", str(home_of_done / "reviews.csv"), "--package", str(home_of_done / "run" / "package"))
    assert ran.returncode == 0, ran.stderr
    assert "80 test rows" in ran.stdout


def test_init_writes_a_config_that_runs(tmp_path: Path) -> None:
    reviews(tmp_path)
    assert penjing("init", "reviews.csv", "--target", "rating", cwd=tmp_path).returncode == 0
    again = penjing("init", "reviews.csv", "--target", "rating", cwd=tmp_path)
    assert again.returncode == 2
    assert "there already" in again.stderr
    written = (tmp_path / "penjing.yaml").read_text()
    assert "  # Column whose rows must stay in one split together (a patient, an author)." in written
    everything = re.sub(r"^( *)# (?=( {2})*\w+:)", r"\1", written, flags=re.MULTILINE)
    (tmp_path / "all.yaml").write_text(everything.replace("tiers: null", "tiers: [linear]"))
    assert penjing("prepare", "all.yaml", cwd=tmp_path).returncode == 0, "every key taken out of its comment is a key that is read"
    ran = penjing("run", "--tier", "linear", "--set", "seed=4", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "seed: 4" in (tmp_path / "runs" / "reviews" / "penjing.yaml").read_text()


def test_the_resolved_config_gives_the_same_model_again(done: Path, tmp_path: Path) -> None:
    environment = {"PENJING_HOME": str(done / "home")}
    ran = penjing("run", str(done / "run" / "penjing.yaml"), "--run", str(tmp_path / "again"), **environment)
    assert ran.returncode == 0, ran.stderr
    verified = [penjing("verify", str(folder / "package"), **environment).stdout.split("model ")[1] for folder in (done / "run", tmp_path / "again")]
    assert verified[0] == verified[1]


def test_the_published_schema_accepts_the_written_config_and_refuses_a_misspelt_key(done: Path) -> None:
    import jsonschema
    import yaml

    schema = json.loads(penjing("init", "--schema").stdout)
    config = yaml.safe_load((done / "run" / "penjing.yaml").read_text())
    jsonschema.validate(config, schema)
    for path in ("seed", "data", "tiers"):
        assert path in schema["properties"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "sede": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "tiers": [{"learner": "linear", "bukets": 1}]}, schema)


def test_the_doctor_names_what_is_there() -> None:
    ran = penjing("doctor")
    assert ran.returncode == 0, ran.stderr
    for word in ("processor", "memory", "torch", "engines", "openvino-runtime", "signing key"):
        assert word in ran.stdout


@contextmanager
def served(package: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of `package` in a process of its own, and its URL."""
    command = [sys.executable, "-m", "penjing", "serve", str(package), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            yield server, line[line.index("http://") :].split()[0]
        finally:
            server.terminate()


def test_a_server_answers_as_the_package_does_and_stops_when_told(home_of_done: Path) -> None:
    package, rows = home_of_done / "run" / "package", home_of_done / "reviews.csv"
    with served(package) as (server, url):
        compared = penjing("verify", str(package), "--url", url, "--rows", str(rows))
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    assert compared.returncode == 0, compared.stderr
    assert "80 of 80 rows the same" in compared.stdout


def test_a_server_of_another_model_is_told_from_the_package(home_of_done: Path, tmp_path: Path) -> None:
    other = reviews(tmp_path)
    other.write_text(other.read_text().replace("positive", "x").replace("negative", "positive").replace(",x", ",negative"))
    assert penjing("run", str(other), "--target", "rating", "--tier", "linear", "--run", str(tmp_path / "run")).returncode == 0
    with served(tmp_path / "run" / "package") as (_, url):
        rows = str(home_of_done / "reviews.csv")
        compared = penjing("verify", str(home_of_done / "run" / "package"), "--url", url, "--rows", rows)
    assert compared.returncode == 4
    assert "does not answer as" in compared.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_says_so_and_goes_on_when_called_again(tmp_path: Path, number: int) -> None:
    reviews(tmp_path, 4000)
    # Tests that are themselves a background job would hand on that Ctrl-C is to be ignored.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom penjing.cli.main import main; main()"
    command = [sys.executable, "-c", program, "run", "reviews.csv", "--target", "rating", "--tier", "linear"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not (tmp_path / "runs" / "reviews" / "prepare").exists():
            time.sleep(0.01)
        running.send_signal(number)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "Interrupted. Finished stages are kept" in told
    assert "Traceback" not in told
    ran = penjing("run", "reviews.csv", "--target", "rating", "--tier", "linear", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Stage prepare: done before" in ran.stderr
