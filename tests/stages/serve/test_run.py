"""Starting and stopping the server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from penjing.core.errors import BadRequest, ConfigError, Refused
from penjing.core import config
from penjing.security.keys import make_key
from penjing.security.signing import ModelSigner
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.run import serve, serving

Start = Callable[..., Any]

PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from conftest import counting_tier
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.http import Served
from penjing.stages.serve.run import serve_tier
tier, engine = counting_tier()
serve_tier(tier, Served("reviews"), ServeConfig(port=0), lambda url: (engine.go.clear(), print(url, flush=True)))
print("finished", [m for m in ("torch", "transformers", "ray") if m in sys.modules], flush=True)
"""


@contextmanager
def server_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, whose model holds each batch for seconds, so that a signal finds requests in flight."""
    program = PROGRAM.replace("engine.go.clear()", "setattr(engine, 'go', type('Slow', (), {'wait': lambda self, _: time.sleep(1)})())")
    with subprocess.Popen([sys.executable, "-c", program, str(Path(__file__).parent)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_in_flight_finish_and_is_no_error(number: signal.Signals) -> None:
    with server_process() as (process, url), ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(httpx.post, f"{url}/v1/predict", json={"rows": [{"review": f"text {n}"}]}, timeout=30) for n in range(4)]
        while "penjing_queue_rows 3.0" not in httpx.get(f"{url}/metrics").text:
            time.sleep(0.01)
        process.send_signal(number)
        assert [f.result().status_code for f in asked] == [200] * 4
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert out == "finished []\n"


def test_a_port_in_use_is_told_with_the_remedy(start: Start) -> None:
    server = start()
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(BadRequest, match=f"Port {port} of 127.0.0.1 is in use. Choose another with --set serve.port="):
        start(port=port)


def test_two_servers_that_take_one_port_at_once_do_not_both_answer(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        from conftest import counting_tier
        from penjing.stages.serve import run
        from penjing.stages.serve.http import Served

        tier, _ = counting_tier()
        with run._listening(ServeConfig(port=port)) as ours:
            other.listen()
            with pytest.raises(BadRequest, match="is in use"):
                run._serve(ours, tier, Served("reviews"), ServeConfig(port=port), lambda _: None)
