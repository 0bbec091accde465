"""What a request that cannot be answered gets: one problem as JSON (RFC 9457), whose `detail` is a sentence with the remedy.

{"title": the status in words, "status": its number, "detail": the sentence, "pointer": the field of the body (RFC 6901), where it is one}
"""

from __future__ import annotations

import logging
import math
from http.client import responses
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from penjing.core.errors import BadRequest
from penjing.stages.serve.batcher import Busy, TooManyRows
from penjing.stages.serve.bodies import BadBody

MEDIA = "application/problem+json"
GONE = 499
"""What is counted of a request whose client did not wait, as nginx counts it; nobody reads the answer."""
WHY = {
    400: "The body is not of its content-type, or a header says nothing.",
    413: "Too many rows, or too long a body.",
    415: "The body is an image by itself, and a row is more or something else.",
    422: "A row lacks a column, or holds a value of another kind or a file that cannot be read.",
    429: "Others wait who ask less than this tenant: ask again after Retry-After seconds.",
    500: "The model failed on these rows.",
    503: "Too many rows are waiting, or the answer would come too late: ask again after Retry-After seconds.",
}
_log = logging.getLogger(__name__)
_STOPPING_S = 5.0


def problem(status: int, detail: str, pointer: str = "") -> dict[str, Any]:
    """Return a problem; its `type` is left out, which stands for "about:blank"."""
    return {"title": responses.get(status, "Client Closed Request"), "status": status, "detail": detail, **({"pointer": pointer} if pointer else {})}


def response(told: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(told, told["status"], headers=headers, media_type=MEDIA)


def of_error(error: Exception, closing: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the problem that `error` is to whoever asked, and headers; what the client cannot help is logged, and told without its details."""
    match error:
        case BadBody():
            return problem(error.status, str(error), error.pointer), {}
        case TooManyRows():
            return problem(413, str(error)), {}
        case Busy():
            return problem(429 if error.own else 503, str(error)), _later(error.retry_after_s)
        case BadRequest():
            return problem(422, str(error)), {}
        case _ if closing:
            return problem(503, "The server is stopping. Ask again when it is back."), _later(_STOPPING_S)
    _log.error("The model failed on a request", exc_info=error)
    return problem(500, "The model failed on these rows; the server's log says why. Try them one by one to find the row."), {}


def add_problems(api: FastAPI) -> None:
    """Have `api` tell of a wrong address or method in the same way."""

    @api.exception_handler(HTTPException)
    async def answer(request: Request, error: HTTPException) -> Response:
        sentences = {
            404: f"There is no {request.url.path}. See /docs for what there is.",
            405: f"{request.url.path} does not take {request.method}. See /docs for what there is.",
        }
        return response(problem(error.status_code, sentences.get(error.status_code, str(error.detail))), dict(error.headers or {}))


def content() -> dict[str, Any]:
    """Return a problem as OpenAPI describes bodies."""
    texts = {name: {"type": "string"} for name in ("title", "detail", "pointer")}
    schema = {"type": "object", "properties": {**texts, "status": {"type": "integer"}}, "required": ["title", "status", "detail"]}
    return {MEDIA: {"schema": schema}}


def _later(seconds: float) -> dict[str, str]:
    return {"retry-after": str(math.ceil(seconds))}
