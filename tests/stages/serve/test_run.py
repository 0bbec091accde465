"""Starting and stopping the server."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from penjing.core.config import check
from penjing.core.errors import BadRequest, ConfigError, Refused
from penjing.pipeline.serving import serve as serve_package
from penjing.security.keys import make_key
from penjing.security.signing import ModelSigner
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.run import _listening, serve
from penjing.stages.serve.service import Served, Service

Start = Callable[..., Any]

PROGRAM = """
import sys
import threading
import time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import counting_tier, until_waiting
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.service import Served, Service
from penjing.stages.serve.run import serve
tier, engine = counting_tier()
def ready(url):
    engine.go.clear()
    threading.Thread(target=look, args=[url], daemon=True).start()
    print(url, flush=True)
def look(url):
    until_waiting(url, 3)
    print("waiting", flush=True)
    while not Path(sys.argv[2]).exists():
        time.sleep(0.02)
    engine.go.set()
serve(tier, Served("reviews"), ServeConfig(port=0, max_rows=1), ready)
print("finished", [m for m in ("torch", "transformers", "ray") if m in sys.modules], flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_in_flight_finish_and_is_no_error(number: signal.Signals, tmp_path: Path) -> None:
    """One request is being computed and three wait when the signal comes; the model goes on only after the server takes no more."""
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path / "go")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process, ThreadPoolExecutor(4) as pool:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            asked = [pool.submit(httpx.post, f"{url}/v1/predict", json={"rows": [{"review": f"text {n}"}]}, timeout=120) for n in range(4)]
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(number)
            until_refused(url)
            (tmp_path / "go").touch()
            assert [f.result().status_code for f in asked] == [200] * 4
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "finished []\n", "")


def until_refused(url: str) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.1)
    pytest.fail("the server still takes connections")


def test_a_port_in_use_is_told_with_the_remedy(start: Start) -> None:
    server = start()
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(BadRequest, match=f"Port {port} of 127.0.0.1 is in use. Choose another with --set serve.port="):
        start(port=port)


def test_of_two_servers_that_took_one_port_the_second_to_listen_is_told(tier: Any) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        tier.engine.go = Meanwhile(other.listen)
        with pytest.raises(BadRequest, match="is in use"):
            serve(tier, Served("reviews"), ServeConfig(port=other.getsockname()[1]), pytest.fail)


class Meanwhile:
    """Does something while an engine is being warmed up."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def wait(self, _limit: float) -> None:
        self._act()


@pytest.mark.changes("serve.port")
def test_the_server_listens_on_the_port_that_was_asked_for(start: Start) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert start(port=port).url == f"http://127.0.0.1:{port}"
    assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200


@pytest.mark.changes("serve.host")
def test_the_server_listens_on_the_host_that_was_asked_for(start: Start) -> None:
    server = start(host="127.0.0.2")
    assert server.url.startswith("http://127.0.0.2:")
    assert server.get("/health/live").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url.replace("127.0.0.2", "127.0.0.1"))


def test_an_answer_does_not_wait_for_the_clients_acknowledgement() -> None:
    with contextlib.closing(_listening(ServeConfig(port=0))) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # what asyncio looks at before it switches Nagle's algorithm off


def test_a_host_that_is_not_here_is_told(start: Start) -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(BadRequest, match=f"of {host} cannot be listened on .*serve.host"):
            start(host=host)


def test_the_whole_machine_is_told_by_its_loopback_address(start: Start) -> None:
    assert start(host="0.0.0.0").url.startswith("http://127.0.0.1:")


@pytest.mark.changes("serve.max_wait_ms")
def test_waiting_for_company_makes_larger_batches(tier: Any) -> None:
    assert largest_batch_after_company(tier, ServeConfig(max_wait_ms=0)) == 1
    assert largest_batch_after_company(tier, ServeConfig(max_wait_ms=1000)) == 2


def largest_batch_after_company(tier: Any, config: ServeConfig) -> int:
    """Have three requests computed in one slow batch, then ask twice, the second time a little later; return the larger batch of those two."""
    engine = tier.engine
    batcher = Service(tier, Served("reviews"), config).batcher
    engine.go, engine.entered = threading.Event(), threading.Event()
    asked = [batcher.submit([{"review": "before"}])]
    assert engine.entered.wait(60)
    asked += [batcher.submit([{"review": f"together {n}"}]) for n in range(3)]
    held, engine.go = engine.go, Slow(0.4)
    held.set()
    for future in asked:
        future.result(60)
    engine.batches.clear()
    first = batcher.submit([{"review": "a"}])
    time.sleep(0.05)
    batcher.submit([{"review": "b"}]).result(60)
    first.result(60)
    batcher.close()
    return max(engine.batches)


class Slow:
    """Holds an engine for a while, and then again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def wait(self, _limit: float) -> None:
        time.sleep(self._seconds)

    def set(self) -> None: ...


@pytest.mark.changes("serve.tier")
def test_the_named_tier_of_a_verified_package_answers(sealed: Any) -> None:
    labels = {tier: answer_of(sealed, ServeConfig(port=0, tier=tier)) for tier in (None, "first", "second")}
    assert labels[None] == {"label": "good", "tier": "first"}
    assert labels["first"] == labels[None]
    assert labels["second"] == {"label": "bad", "tier": "second"}


def said(settings: ServeConfig) -> list[str]:
    return [f"{key}={value}" for key, value in settings.model_dump(exclude_defaults=True).items()]


def answer_of(sealed: Any, settings: ServeConfig) -> dict[str, str]:
    """Serve the package in this thread, ask it from another once it is ready, and stop it by the signal that a user would send."""
    answers: list[dict[str, str]] = []

    def ask(url: str) -> None:
        answers.extend(httpx.post(f"{url}/v1/predict", json={"rows": [{"review": "good bad"}]}).json()["predictions"])
        model = httpx.get(f"{url}/v1/model").json()
        assert model["signed_by"].startswith("this-machine (")
        assert len(model["model"]) == 64
        signal.raise_signal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        asked: list[Any] = []
        serve_package(sealed.folder, said(settings), sealed.signer, lambda _, url: asked.append(pool.submit(ask, url)))
        asked[0].result()
    return {name: answers[0][name] for name in ("label", "tier")}


def test_an_unknown_tier_is_told_before_anything_is_served(sealed: Any) -> None:
    with pytest.raises(BadRequest, match="Did you mean 'second'"):
        serve_package(sealed.folder, ["port=0", "tier=secnd"], sealed.signer, pytest.fail)  # type: ignore[arg-type]


def test_a_changed_package_is_not_served(sealed: Any, tmp_path: Path) -> None:
    path = sealed.folder / "tiers" / "first" / "engine" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match="Changed: tiers/first/engine/model.onnx"):
        serve_package(sealed.folder, ["port=0"], sealed.signer, pytest.fail)  # type: ignore[arg-type]


def test_a_strangers_package_is_not_served(sealed: Any, tmp_path: Path) -> None:
    make_key(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="does not trust"):
        serve_package(sealed.folder, ["port=0"], ModelSigner(tmp_path / "elsewhere"), pytest.fail)  # type: ignore[arg-type]


def test_serving_a_package_imports_nothing_that_trains(sealed: Any) -> None:
    program = """
import sys
from pathlib import Path
for name in ("torch", "transformers", "ray", "sklearn"):
    sys.modules[name] = None
from penjing.package.open import open_package
from penjing.security.signing import ModelSigner
import penjing.stages.serve.run
print(open_package(Path(sys.argv[1]), ModelSigner(Path(sys.argv[2]))).predictor().predict([{"review": "good"}])[0]["label"])
"""
    command = [sys.executable, "-c", program, str(sealed.folder), str(sealed.signer.home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("good\n", "")


@pytest.mark.parametrize(("key", "value"), [("port", 70000), ("max_rows", 0), ("queue_rows", 0), ("max_body_mb", 0), ("max_wait_ms", -1)])
def test_a_value_that_makes_no_sense_is_told(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{key} is {value}"):
        check(ServeConfig, {key: value}, "penjing.yaml")
