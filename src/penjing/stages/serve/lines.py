"""A stream of rows, one JSON object a line (NDJSON), answered line by line and in order while it comes in.

→ {"review": "…"}            ← {"line": 1, "prediction": {"label": …}}
→ {"review":                 ← {"line": 2, "problem": {"title": …, "status": 400, "detail": …}}

A line that cannot be answered is told by its number, and the others are answered. A stream is patient: while the server is busy it waits, and
reads no further, so that neither side holds more than a window of lines. Empty lines are counted, and not answered.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect

from penjing.core.types import Prediction, Row
from penjing.stages.serve.batcher import Busy
from penjing.stages.serve.bodies import line_too_long, row_in
from penjing.stages.serve.problems import of_error

MEDIA = "application/x-ndjson"
_PATIENCE_S = 0.05
"""Between two tries of a line that found the server busy."""

Submit = Callable[[list[Row]], "Future[list[Prediction]]"]
Told = Callable[[int, list[Prediction]], None]
"""Told of each line: its status and its answer."""


@dataclass
class Lines:
    """What a stream is answered with."""

    submit: Submit
    example: Row
    limit_bytes: int
    """Of a line."""
    window: int
    """Lines that are read and not yet answered, at most."""
    told: Told
    closing: Callable[[], bool]

    async def answered(self, body: AsyncIterator[bytes], gone: Callable[[], Awaitable[Any]]) -> AsyncIterator[bytes]:
        """Yield a line for each line of `body`. What is under way is given up where the client goes: once the body has ended, `gone` says when."""
        waiting: deque[asyncio.Task[bytes]] = deque()
        lines = _numbered(body, self.limit_bytes)
        coming: asyncio.Task[Any] = asyncio.ensure_future(anext(lines, None))
        ended = False
        try:
            while not ended or waiting:
                reads = ended or len(waiting) < self.window
                await asyncio.wait([*([coming] if reads else []), *([waiting[0]] if waiting else [])], return_when=asyncio.FIRST_COMPLETED)
                if reads and coming.done():
                    if ended or isinstance(coming.exception(), ClientDisconnect):
                        return
                    found = coming.result()
                    ended = found is None
                    if found is not None:
                        waiting.append(asyncio.ensure_future(self._answer(*found)))
                    coming = asyncio.ensure_future(_heard(gone) if ended else anext(lines, None))
                ready: list[bytes] = []
                while waiting and waiting[0].done():
                    ready.append(waiting.popleft().result())
                if ready:
                    yield b"".join(ready)
        finally:
            for task in [*waiting, coming]:
                task.cancel()

    async def _answer(self, number: int, line: bytes | None) -> bytes:
        status, predictions, told = 200, list[Prediction](), dict[str, Any]()
        try:
            if line is None:
                raise line_too_long(self.limit_bytes)
            predictions = await self._predicted(row_in(line, self.example))
            told = {"line": number, "prediction": predictions[0]}
        except Exception as error:
            problem, _ = of_error(error, self.closing())
            status, told = problem["status"], {"line": number, "problem": problem}
        self.told(status, predictions)
        return json.dumps(told, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    async def _predicted(self, row: Row) -> list[Prediction]:
        while True:
            try:
                return await asyncio.wrap_future(self.submit([row]))
            except Busy:
                if self.closing():
                    raise
                await asyncio.sleep(_PATIENCE_S)


async def _heard(gone: Callable[[], Awaitable[Any]]) -> None:
    await gone()


async def _numbered(body: AsyncIterator[bytes], limit_bytes: int) -> AsyncIterator[tuple[int, bytes | None]]:
    """Yield each line that is not empty with its number, from 1 on; None for one that is longer than the limit, which is never held."""
    held, number, skipping = bytearray(), 0, False
    async for chunk in body:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            number += 1
            whole = bytes(held) + part
            held.clear()
            if skipping or len(whole) > limit_bytes:
                skipping = False
                yield number, None
            elif whole.strip():
                yield number, whole
        if skipping or len(held) + len(rest) > limit_bytes:
            held.clear()
            skipping = True
        else:
            held += rest
    if skipping:
        yield number + 1, None
    elif held.strip():
        yield number + 1, bytes(held)
