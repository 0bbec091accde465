from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from penjing.core.artefacts import Artefact, locked, make
from penjing.core.errors import RunFailed


def writes(text: str, calls: list[str]) -> object:
    def work(folder: Path) -> None:
        calls.append(text)
        (folder / "out.txt").write_text(text)
        (folder / "measured").mkdir(exist_ok=True)
        (folder / "measured" / "seconds.json").write_text(os.urandom(4).hex())

    return work


def test_a_finished_stage_is_not_done_again(tmp_path: Path) -> None:
    calls: list[str] = []
    first = make(tmp_path / "s", "s", {"a": 1}, {}, writes("x", calls))  # type: ignore[arg-type]
    again = make(tmp_path / "s", "s", {"a": 1}, {}, writes("x", calls))  # type: ignore[arg-type]
    assert calls == ["x"]
    assert (first.reused, again.reused) == (False, True)
    assert first.model == again.model


def test_a_changed_config_or_input_makes_the_stage_run_again(tmp_path: Path) -> None:
    calls: list[str] = []
    data = make(tmp_path / "d", "d", {}, {}, writes("data", []))  # type: ignore[arg-type]
    other = make(tmp_path / "o", "o", {}, {}, writes("other data", []))  # type: ignore[arg-type]
    make(tmp_path / "s", "s", {"a": 1}, {"d": data}, writes("1", calls))  # type: ignore[arg-type]
    make(tmp_path / "s", "s", {"a": 2}, {"d": data}, writes("2", calls))  # type: ignore[arg-type]
    make(tmp_path / "s", "s", {"a": 2}, {"d": other}, writes("3", calls))  # type: ignore[arg-type]
    assert calls == ["1", "2", "3"]


def test_a_deleted_file_makes_the_stage_run_again(tmp_path: Path) -> None:
    calls: list[str] = []
    made = make(tmp_path / "s", "s", {}, {}, writes("x", calls))  # type: ignore[arg-type]
    (made.folder / "out.txt").unlink()
    make(tmp_path / "s", "s", {}, {}, writes("x", calls))  # type: ignore[arg-type]
    assert calls == ["x", "x"]


def test_measurements_do_not_touch_the_model_digest(tmp_path: Path) -> None:
    one = make(tmp_path / "1", "s", {}, {}, writes("x", []))  # type: ignore[arg-type]
    two = make(tmp_path / "2", "s", {}, {}, writes("x", []))  # type: ignore[arg-type]
    assert one.model == two.model
    assert one.measured != two.measured


def test_a_killed_stage_finds_its_own_work_again_and_nobody_else_does(tmp_path: Path) -> None:
    def dies(folder: Path) -> None:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "half").write_text("half")
        (folder / ".tmpXYZ").write_text("what a library was writing when it was killed")
        raise KeyboardInterrupt

    found: list[bool] = []

    def goes_on(folder: Path) -> None:
        found.append((folder / "checkpoints" / "half").exists())
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        assert [path.name for path in folder.iterdir()] == ["key"]

    for config in ({"a": 1}, {"a": 2}):
        folder = tmp_path / f"s{config['a']}"
        with pytest.raises(KeyboardInterrupt):
            make(folder, "s", {"a": 1}, {}, dies)
        assert not folder.exists()
        make(folder, "s", config, {}, goes_on)
        assert {path.name for path in folder.iterdir()} == {"artefact.json", "measured"}
    assert found == [True, False]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_told_plainly_and_leaves_no_artefact(tmp_path: Path, number: int) -> None:
    def fails(folder: Path) -> None:
        raise OSError(number, os.strerror(number), str(folder / "big"))

    with pytest.raises(RunFailed, match="finished stages are kept") as told:
        make(tmp_path / "s", "s", {}, {}, fails)
    assert told.value.exit_code == 1
    assert not (tmp_path / "s").exists()


def test_a_stage_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="not a finished stage"):
        Artefact.open(tmp_path)


def test_two_runs_cannot_share_a_folder_at_once(tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(RunFailed, match="in use"), locked(tmp_path / "run"):
        pass
