"""The processes of one start: begun, listened to, and ended together. Knows no learner and no job.

No worker outlives the process that began it: each ends when its standard input does, whatever becomes of this one.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from penjing.plugins.launchers.local.relay import LOST

_LOOK_SECONDS = 0.5
GRACE_SECONDS = 5.0
"""How long workers may take to end once one has: to find out which was the first, and to take their half-written files away."""
_TAIL_LINES, _TAIL_CHARACTERS = 3, 600


@dataclass(frozen=True, slots=True)
class Death:
    """The worker that was the first to end before its work was done."""

    rank: int
    code: int | None
    """Its exit code, negative for a signal; None where it runs on and does not answer."""
    log: Path

    def __str__(self) -> str:
        if self.code is None:
            return f"Worker {self.rank} does not answer"
        if self.code >= 0:
            return f"Worker {self.rank} ended with code {self.code}"
        name = signal.Signals(-self.code).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"Worker {self.rank} was killed ({name}{hint})"

    @property
    def tail(self) -> str:
        """The end of its log."""
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return " / ".join(lines[-_TAIL_LINES:])[-_TAIL_CHARACTERS:] or "nothing"


class Crew:
    """Workers under way, as a context: when it is left they have ended."""

    def __init__(
        self, commands: Sequence[Sequence[str]], logs: Sequence[Path], environment: Mapping[str, str], hear: Callable[[bytes], None]
    ) -> None:
        self._commands, self._logs, self._environment, self._hear = commands, logs, environment, hear
        self._processes: list[subprocess.Popen[bytes]] = []
        self._selector = selectors.DefaultSelector()
        self._heard: dict[int, bytes] = {}

    def __enter__(self) -> Self:
        try:
            for command, log in zip(self._commands, self._logs, strict=True):
                self._begin(command, log)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def watch(self) -> Death | None:
        """Listen until all have ended well, or return the first that did not."""
        while any(process.poll() is None for process in self._processes) and not self._failed():
            self._listen(_LOOK_SECONDS)
        death = self._first() if self._failed() else None
        while any(key.data.poll() is not None for key in self._selector.get_map().values()):
            self._listen(0.0)  # the last words of those that have ended
        return death

    def end(self) -> None:
        """End those that still run. Nothing is heard any more: what hears may be what is to end."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.wait()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        self._selector.close()

    def _begin(self, command: Sequence[str], log: Path) -> None:
        with log.open("ab") as errors:
            # In a session of its own: Ctrl-C is this process's to hear.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=dict(self._environment), start_new_session=True
            )
        self._processes.append(process)
        if process.stdout:
            self._selector.register(process.stdout.fileno(), selectors.EVENT_READ, process)

    def _listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            said = os.read(key.fd, 1 << 16)
            *lines, self._heard[key.fd] = (self._heard.get(key.fd, b"") + said).split(b"\n")
            for line in lines:
                self._hear(line)
            if not said:
                self._selector.unregister(key.fd)
                with suppress(subprocess.TimeoutExpired):
                    key.data.wait(GRACE_SECONDS)

    def _failed(self) -> dict[int, int]:
        """Return the codes of those that ended before their work was done, by rank."""
        codes = {rank: process.poll() for rank, process in enumerate(self._processes)}
        return {rank: code for rank, code in codes.items() if code}

    def _first(self) -> Death:
        """Return the one that the others have lost: not one that ended because another did."""
        deadline = time.monotonic() + GRACE_SECONDS
        while True:
            failed = self._failed()
            causes = [rank for rank, code in failed.items() if code != LOST]
            silent = [rank for rank, process in enumerate(self._processes) if process.poll() is None]
            if causes or not silent or time.monotonic() > deadline:
                break
            self._listen(_LOOK_SECONDS)
        rank = (causes or silent or list(failed))[0]
        return Death(rank, failed.get(rank), self._logs[rank])
