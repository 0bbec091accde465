"""The HTTP of a served predictor: one small JSON API, health, metrics and two pages. Knows the batcher and the predictor; not where it came from.

    POST /v1/predict   {"rows": [{column: value}]} → {"predictions": [{"label", "score", "tier", …}]}, one a row, in order;
                       or a form with fields named by columns, or one file, where a row is one; a stream of NDJSON is answered as one (lines.py)
    /v2/…              the same in the Open Inference Protocol (inference_v2.py)
    GET  /v1/model     what answers: name, tier, task, columns and what they take, digest, signer
    GET  /health/live  /health/ready  /metrics  /docs  /openapi.json  /

Every error is a problem of RFC 9457 (problems.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

import penjing
from penjing.core.protocols import Predictor
from penjing.stages.serve import lines, pages, problems
from penjing.stages.serve.asked import described
from penjing.stages.serve.config import ServeConfig
from penjing.stages.serve.inference_v2 import add_v2
from penjing.stages.serve.metrics import CONTENT_TYPE
from penjing.stages.serve.schema import bodies_of
from penjing.stages.serve.service import Served, Service
from penjing.stages.serve.values import is_file, shortened


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
    problems.add_problems(api)
    _add_api(api, service)
    add_v2(api, service)
    _add_operations(api, service)
    _add_pages(api, service)
    _describe(api, service)
    return api


def _add_api(api: FastAPI, service: Service) -> None:
    whys = {code: why for code, why in problems.WHY.items() if code != 415 or not is_file(service.example)}
    errors: dict[int | str, dict[str, Any]] = {code: {"description": why, "content": problems.content()} for code, why in whys.items()}

    @api.post("/v1/predict", summary="Predict rows", responses=errors)
    async def predict(request: Request) -> Response:
        return await service.predict(request)

    @api.get("/v1/model", summary="What answers")
    async def model() -> Response:
        return JSONResponse(service.about)


def _describe(api: FastAPI, service: Service) -> None:
    """Say in the OpenAPI document what a row is, and what comes back; after FastAPI has made it, which would leave out every null."""
    predict = api.openapi()["paths"]["/v1/predict"]["post"]
    predict["parameters"] = described()
    predict["requestBody"] = {"required": True, "content": bodies_of(service.example)}
    example = {"predictions": [service.answer]}
    told = {"application/json": {"example": example}, lines.MEDIA: {"example": {"line": 1, "prediction": service.answer}}}
    predict["responses"]["200"] = {"description": "One prediction a row, in order.", "content": told}
    model = api.openapi()["paths"]["/v1/model"]["get"]
    model["responses"]["200"]["content"] = {"application/json": {"example": service.about | {"example": shortened(service.example)}}}


def _add_operations(api: FastAPI, service: Service) -> None:
    @api.get("/health/live", summary="Whether the process runs")
    async def live() -> Response:
        return JSONResponse({"status": "live"})

    stopping: dict[int | str, dict[str, Any]] = {503: {"description": "It is stopping.", "content": problems.content()}}

    @api.get("/health/ready", summary="Whether it takes requests", responses=stopping)
    async def ready() -> Response:
        if service.batcher.closing:
            return problems.response(problems.problem(503, "The server is stopping. Ask another one."))
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
