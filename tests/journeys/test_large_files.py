"""Files larger than what a batch holds: predicting takes no more memory for more rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.journey
PEAK = """
import resource, sys
sys.argv = ["penjing", *sys.argv[1:]]
from penjing.cli.main import main
try:
    main()
except SystemExit as done:
    print(done.code or 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def written(path: Path, rows: int) -> Path:
    with path.open("w") as file:
        file.write("text,label\n")
        for i in range(rows):
            file.write(f"{'a sunny day with music ' * 40}{i},{'yes' if i % 2 else 'no'}\n")
    return path


def peak_kb(package: Path, source: Path) -> int:
    command = [sys.executable, "-c", PEAK, "predict", str(package), str(source), "-o", str(source.with_suffix(".out.csv"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    code, peak = done.stdout.split()
    assert code == "0", done.stderr
    return int(peak)


def test_predict_streams(tmp_path: Path) -> None:
    small, large = written(tmp_path / "small.csv", 8_000), written(tmp_path / "large.csv", 160_000)
    assert large.stat().st_size > 140e6
    run = [sys.executable, "-m", "penjing", "run", str(small), "--target", "label", "--tier", "linear", "--run", str(tmp_path / "run")]
    assert subprocess.run(run, capture_output=True).returncode == 0
    package = tmp_path / "run" / "package"
    # Twenty times the rows, 140 MB more to read: the peak may differ by an allocator's mood, not by the file.
    assert peak_kb(package, large) - peak_kb(package, small) < 40_000
    assert (tmp_path / "large.out.csv").read_bytes().count(b"\n") == 160_001
