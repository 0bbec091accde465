"""What the examples share: they type the commands that a user would type, and ask a server as a client would."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
WORK = Path("work")
PENJING = str(Path(sys.executable).parent / "penjing")


def data(*arguments: str) -> None:
    """Write example data into the folder `work`."""
    subprocess.run([sys.executable, str(HERE / "data.py"), *arguments], check=True)


def penjing(*arguments: str | Path) -> None:
    subprocess.run(_shown([PENJING, *map(str, arguments)]), check=True)


@contextmanager
def served(package: Path) -> Iterator[str]:
    """Serve `package` on a free port while the block runs, and yield its address."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(_shown([PENJING, "serve", str(package), "--port", "0"]), stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            yield _address(server.stdout)
        finally:
            server.terminate()


def ask(url: str, body: bytes, kind: str, spelt: str) -> None:
    """Send `body` of the media type `kind` to a server and print its answer; `spelt` is how curl is told the same."""
    print(f"\n$ curl {url}/v1/predict {spelt}")
    request = urllib.request.Request(f"{url}/v1/predict", body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(json.dumps(json.load(answer), indent=1))


def ask_row(url: str, row: dict[str, object]) -> None:
    body = json.dumps({"rows": [row]})
    ask(url, body.encode(), "application/json", f"-d {shlex.quote(body)}")


def _address(lines: Iterator[str]) -> str:
    for line in lines:
        print(line, end="", flush=True)
        if "http://" in line:
            return line[line.index("http://") :].split()[0].rstrip(".,")
    sys.exit("error: the server did not start; its own words are above.")


def _shown(command: list[str]) -> list[str]:
    print(f"\n$ {shlex.join([Path(command[0]).name, *command[1:]])}", flush=True)
    return command
