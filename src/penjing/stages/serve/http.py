"""The HTTP of a served predictor: one small JSON API, health, metrics and two pages. Knows the batcher and the predictor; not where it came from.

    POST /v1/predict   {"rows": [{column: value}]} → {"predictions": [{"label", "score", "tier", …}]}, one a row, in order;
                       or a form with fields named by columns, or one file, where a row is one
    GET  /v1/model     what answers: name, tier, task, columns and what they take, digest, signer
    GET  /health/live  /health/ready  /metrics  /docs  /openapi.json  /

Every error is `{"error": "one sentence"}`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import penjing
from penjing.core.errors import BadRequest
from penjing.core.protocols import Predictor
from penjing.core.tier import packed
from penjing.core.types import Prediction, Row
from penjing.stages.serve import pages
from penjing.stages.serve.asked import asked_in, described
from penjing.stages.serve.batcher import Batcher, Busy, Limits, TooManyRows
from penjing.stages.serve.bodies import BadBody, read_body, rows_in
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.metrics import CONTENT_TYPE, Metrics
from penjing.stages.serve.router import model_of
from penjing.stages.serve.schema import bodies_of
from penjing.stages.serve.values import as_json, is_file, kind_of, shortened

_log = logging.getLogger(__name__)
_GONE = 499
"""What is counted of a request whose client did not wait, as nginx counts it; nobody reads the answer."""


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
        self.timeout_ms = config.timeout_ms
        labels = {"name": served.name, "tier": predictor.name, "model": served.model}
        self.metrics = Metrics(labels, lambda: self.batcher.waiting)

    async def predict(self, request: Request) -> JSONResponse:
        """Answer one request for predictions, whatever happens to it."""
        started = time.perf_counter()
        predictions: list[Prediction] = []
        try:
            body = await read_body(request.stream(), self.limit_bytes, request.headers.get("content-length"))
            asked = asked_in(request.headers, self.timeout_ms)
            rows = rows_in(body, request.headers.get("content-type", ""), self.example)
            predictions = await _unless_gone(request, self.batcher.submit(rows, asked.tenant, asked.priority, asked.within_s))
            response = JSONResponse({"predictions": predictions})
        except ClientDisconnect:
            predictions, response = [], _error(_GONE, "The client is gone.")
        except Exception as error:
            predictions, response = [], _refusal(error, self.batcher.closing)
        self.metrics.answered(response.status_code, time.perf_counter() - started, predictions)
        return response

    def _observe(self, rows: int, requests: int, seconds: float) -> None:
        self.metrics.batch(rows, requests, seconds)


def app(predictor: Predictor, served: Served, config: ServeConfig) -> FastAPI:
    """Return the application that answers with `predictor`, warmed by its task's example. Shutting it down answers what waits."""
    service = Service(predictor, served, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.batcher.close)

    api = FastAPI(
        title=served.name,
        version=penjing.__version__,
        description=f"Predicts {predictor.task.target!r} from {', '.join(map(repr, service.example))}.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_errors(api)
    _add_api(api, service)
    _add_operations(api, service)
    _add_pages(api, service)
    _describe(api, service)
    return api


def _add_api(api: FastAPI, service: Service) -> None:
    whys = {code: why for code, why in _WHY.items() if code != 415 or not is_file(service.example)}
    errors: dict[int | str, dict[str, Any]] = {code: {"description": why, "content": _error_content()} for code, why in whys.items()}

    @api.post("/v1/predict", summary="Predict rows", responses=errors)
    async def predict(request: Request) -> Response:
        return await service.predict(request)

    @api.get("/v1/model", summary="What answers")
    async def model() -> Response:
        return JSONResponse(service.about)


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


def _describe(api: FastAPI, service: Service) -> None:
    """Say in the OpenAPI document what a row is, and what comes back; after FastAPI has made it, which would leave out every null."""
    predict = api.openapi()["paths"]["/v1/predict"]["post"]
    predict["parameters"] = described()
    predict["requestBody"] = {"required": True, "content": bodies_of(service.example)}
    example = {"predictions": [service.answer]}
    predict["responses"]["200"] = {"description": "One prediction a row, in order.", "content": {"application/json": {"example": example}}}
    model = api.openapi()["paths"]["/v1/model"]["get"]
    model["responses"]["200"]["content"] = {"application/json": {"example": service.about | {"example": shortened(service.example)}}}


def _add_operations(api: FastAPI, service: Service) -> None:
    @api.get("/health/live", summary="Whether the process runs")
    async def live() -> Response:
        return JSONResponse({"status": "live"})

    stopping: dict[int | str, dict[str, Any]] = {503: {"description": "It is stopping.", "content": _error_content()}}

    @api.get("/health/ready", summary="Whether it takes requests", responses=stopping)
    async def ready() -> Response:
        if service.batcher.closing:
            return _error(503, "The server is stopping. Ask another one.")
        return JSONResponse({"status": "ready"})

    @api.get("/metrics", summary="Figures for Prometheus", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})


def _add_pages(api: FastAPI, service: Service) -> None:
    front = pages.front()
    headers = pages.headers(front)

    @api.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(front, headers=headers)

    @api.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        text = pages.docs(api.openapi(), str(request.base_url))
        return HTMLResponse(text, headers=pages.headers(text))


_WHY = {
    400: "The body is not of its content-type.",
    413: "Too many rows, or too long a body.",
    415: "The body is an image by itself, and a row is more or something else.",
    422: "A row lacks a column, or holds a value of another kind or a file that cannot be read.",
    429: "Others wait who ask less than this tenant: ask again after Retry-After seconds.",
    500: "The model failed on these rows.",
    503: "Too many rows are waiting, or the answer would come too late: ask again after Retry-After seconds.",
}


def _refusal(error: Exception, closing: bool) -> JSONResponse:
    """Return the answer for a request that failed; what the client cannot help is logged, and told without its details."""
    match error:
        case BadBody():
            return _error(error.status, str(error))
        case TooManyRows():
            return _error(413, str(error))
        case Busy():
            return _error(429 if error.own else 503, str(error), {"retry-after": str(math.ceil(error.retry_after_s))})
        case BadRequest():
            return _error(422, str(error))
        case _ if closing:
            return _error(503, "The server is stopping. Ask again when it is back.", {"retry-after": "5"})
    _log.error("The model failed on a request", exc_info=error)
    return _error(500, "The model failed on these rows; the server's log says why. Try them one by one to find the row.")


def _add_errors(api: FastAPI) -> None:
    @api.exception_handler(HTTPException)
    async def answer(request: Request, error: HTTPException) -> Response:
        sentences = {
            404: f"There is no {request.url.path}. See /docs for what there is.",
            405: f"{request.url.path} does not take {request.method}. See /docs for what there is.",
        }
        return _error(error.status_code, sentences.get(error.status_code, str(error.detail)), dict(error.headers or {}))


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers=headers)


def _error_content() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    return {"application/json": {"schema": schema}}
