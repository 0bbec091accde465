"""Serves a predictor over HTTP until it is told to stop. Prints nothing: whoever calls is told the address when it answers.

The port is taken before the model is read, so that a port in use is told at once.
"""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType

import uvicorn

from penjing.core.errors import BadRequest, RunFailed
from penjing.core.protocols import Predictor
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.http import app
from penjing.stages.serve.service import Served

Ready = Callable[[str], None]
"""Told the server's address once it answers."""
_FINISH_S = 30
"""Seconds that requests in flight get to finish after the server is told to stop."""


def serve(predictor: Predictor, served: Served, config: ServeConfig, ready: Ready) -> None:
    """Answer with `predictor` until SIGTERM or Ctrl-C, and finish the requests in flight. Raises BadRequest where the port is in use."""
    with closing(_listening(config)) as listening:
        _serve(listening, predictor, served, config, ready)


@contextmanager
def serving(predictor: Predictor, served: Served, config: ServeConfig) -> Iterator[str]:
    """Answer with `predictor` from another thread while the block runs; yields the server's address."""
    with closing(_listening(config)) as listening:
        started = threading.Event()
        server = _Server(predictor, served, config, lambda _: started.set())
        thread = threading.Thread(target=server.run, args=([listening],), name="penjing-server", daemon=True)
        thread.start()
        try:
            while not started.wait(0.05):
                if not thread.is_alive():
                    raise RunFailed("The server did not start; its log says why.")
            yield address(config.host, listening)
        finally:
            server.should_exit = True
            thread.join()


def address(host: str, listening: socket.socket) -> str:
    """Return the URL to reach a server that listens on `host`; every address of the machine is told as its loopback one."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{listening.getsockname()[1]}"


class _Server(uvicorn.Server):
    """One process, no access log, nothing said in the answers about what serves them."""

    def __init__(self, predictor: Predictor, served: Served, config: ServeConfig, ready: Ready) -> None:
        application = app(predictor, served, config)
        super().__init__(
            uvicorn.Config(
                application,
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_FINISH_S,
            )
        )
        self._host = config.host
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            self._ready(address(self._host, sockets[0]))


def _serve(listening: socket.socket, predictor: Predictor, served: Served, config: ServeConfig, ready: Ready) -> None:
    server = _Server(predictor, served, config, ready)
    with _told_plainly(config):
        listening.listen()  # two servers can have the port until one of them listens
    with _stopped_by_signals(server):
        server.run([listening])


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the server well: uvicorn raises them again, for whoever handled them before, once it has finished."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _listening(config: ServeConfig) -> socket.socket:
    """Take the port. Raises BadRequest where that is not possible."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # Without the protocol spelt out asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for the client's delayed ACK.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        with _told_plainly(config):
            taken.bind((config.host, config.port))
    except BadRequest:
        taken.close()
        raise
    return taken


@contextmanager
def _told_plainly(config: ServeConfig) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"is in use. Choose another with --set serve.port={min(config.port + 1, 65535)}, or any free one with serve.port=0",
            errno.EACCES: "needs the rights of an administrator. Choose one from 1024 with --set serve.port=8080",
        }
        told = reasons.get(error.errno or 0, f"cannot be listened on ({error.strerror or error}). Check serve.host")
        raise BadRequest(f"Port {config.port} of {config.host} {told}.") from error
