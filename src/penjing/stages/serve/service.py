"""A warmed predictor behind a batcher, and one request after another answered with it, whatever protocol it speaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

import penjing
from penjing.core.protocols import Predictor
from penjing.core.tier import packed
from penjing.core.types import Prediction, Row
from penjing.stages.serve import lines, problems
from penjing.stages.serve.asked import asked_in
from penjing.stages.serve.batcher import Batcher, Limits
from penjing.stages.serve.bodies import BadBody, read_body, rows_in
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.lines import Lines
from penjing.stages.serve.metrics import Metrics
from penjing.stages.serve.router import model_of
from penjing.stages.serve.values import as_json, kind_of

Read = Callable[[bytes], list[Row]]
Tell = Callable[[list[Prediction]], Response]
Refuse = Callable[[dict[str, Any], dict[str, str]], Response]
_BATCHES = 2
"""That a stream has under way: one is computed while the next comes in."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the server says of the model that answers."""

    name: str
    model: str = ""
    """The model digest."""
    signed_by: str | None = None
    """The trusted key that signed the package; None for a model that is not from a package."""
    created: str | None = None


class Service:
    """A warmed predictor behind a batcher, with its figures. Raises what the predictor raises where it cannot answer its own example."""

    def __init__(self, predictor: Predictor, served: Served, config: ServeConfig) -> None:
        self.example: Row = predictor.task.example
        predictor.warm()
        self.answer: Prediction = predictor.predict([self.example])[0]
        task = packed("tasks", predictor.task)
        self.about: dict[str, Any] = {
            **asdict(served),
            "tier": predictor.name,
            "task": task["name"],
            "target": predictor.task.target,
            "columns": list(self.example),
            "takes": {column: kind_of(like).name for column, like in self.example.items()},
            "example": {column: as_json(like) for column, like in self.example.items()},
            "max_body_mb": config.max_body_mb,
            "penjing": penjing.__version__,
        }
        self.limit_bytes = int(config.max_body_mb * 1e6)
        limits = Limits(config.max_rows, config.max_tokens, config.max_wait_ms, config.queue_rows)
        self.batcher = Batcher(model_of(predictor), limits, observer=self._observe)
        self.timeout_ms, self.window = config.timeout_ms, _BATCHES * config.max_rows
        labels = {"name": served.name, "tier": predictor.name, "model": served.model}
        self.metrics = Metrics(labels, lambda: self.batcher.waiting)

    async def predict(self, request: Request) -> Response:
        """Answer one request in our own JSON, whatever happens to it."""
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() == lines.MEDIA:
            return self._stream(request)
        return await self.reply(request, lambda body: rows_in(body, kind, self.example), lambda found: JSONResponse({"predictions": found}))

    async def reply(self, request: Request, read: Read, tell: Tell, refuse: Refuse = problems.response) -> Response:
        """Answer one request in any protocol: what `tell` makes of the predictions for the rows that `read` makes of its body, or what `refuse` makes
        of a problem.
        """
        started = time.perf_counter()
        predictions: list[Prediction] = []
        try:
            body = await read_body(request.stream(), self.limit_bytes, request.headers.get("content-length"))
            asked = asked_in(request.headers, self.timeout_ms)
            predictions = await _unless_gone(request, self.batcher.submit(read(body), asked.tenant, asked.priority, asked.within_s))
            response = tell(predictions)
        except ClientDisconnect:
            response = refuse(problems.problem(problems.GONE, "The client is gone."), {})
        except Exception as error:
            response = refuse(*problems.of_error(error, self.batcher.closing))
        self.metrics.answered(response.status_code, time.perf_counter() - started, predictions)
        return response

    def _stream(self, request: Request) -> Response:
        """Answer a stream of rows while it comes in."""
        try:
            asked = asked_in(request.headers, self.timeout_ms)
        except BadBody as error:
            return problems.response(*problems.of_error(error, closing=False))

        def submit(rows: list[Row]) -> Future[list[Prediction]]:
            return self.batcher.submit(rows, asked.tenant, asked.priority, asked.within_s)

        answers = Lines(submit, self.example, self.limit_bytes, self.window, self.metrics.line, lambda: self.batcher.closing)
        return _Streamed(answers.answered(request.stream(), request.receive))

    def _observe(self, rows: int, requests: int, seconds: float) -> None:
        self.metrics.batch(rows, requests, seconds)


class _Streamed(Response):
    """A body that is sent while the request's is still read, which starlette's own reads for itself, to see whether the client has gone."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self.parts, self.status_code, self.background = parts, 200, None
        self.init_headers({"content-type": lines.MEDIA})

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _unless_gone(request: Request, promised: Future[list[Prediction]]) -> list[Prediction]:
    """Return what is promised. Raises ClientDisconnect, and has nothing more computed for it, where the client goes before."""
    answer = asyncio.wrap_future(promised)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            raise ClientDisconnect
        return answer.result()
    finally:
        gone.cancel()
