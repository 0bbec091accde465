"""The Open Inference Protocol, version 2, over HTTP, with its extension for raw tensors: what clients of Triton, KServe and their like speak.

    GET  /v2  /v2/health/live  /v2/health/ready
    GET  /v2/models/NAME[/versions/VERSION][/ready]
    POST /v2/models/NAME[/versions/VERSION]/infer

The one model is the served one, and its version the beginning of its digest. An error is a problem (problems.py) that says the same as "error", which
is where these clients look.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

import penjing
from penjing.core.errors import nearest
from penjing.core.types import Prediction, Row
from penjing.stages.serve import problems
from penjing.stages.serve.bodies import BadBody
from penjing.stages.serve.service import Service
from penjing.stages.serve.tensors import Form, Question

LENGTH = "inference-header-content-length"
_VERSION = 12
"""Characters of a digest."""


def add_v2(api: FastAPI, service: Service) -> None:
    """Have `api` speak the protocol too."""
    model = _Model(service)
    both = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")

    @api.get("/v2", summary="Which protocol, and its extensions")
    async def server() -> Response:
        return JSONResponse({"name": "penjing", "version": penjing.__version__, "extensions": ["binary_tensor_data"]})

    @api.get("/v2/health/live", summary="Whether the process runs")
    async def live() -> Response:
        return JSONResponse({"live": True})

    @api.get("/v2/health/ready", summary="Whether it takes requests")
    async def ready() -> Response:
        return JSONResponse({"ready": True}) if model.ready else _refused(problems.problem(503, "The server is stopping. Ask another one."))

    async def metadata(name: str, version: str = "") -> Response:
        return model.missing(name, version) or JSONResponse(model.metadata)

    async def model_ready(name: str, version: str = "") -> Response:
        stopping = None if model.ready else _refused(problems.problem(503, "The server is stopping. Ask another one."))
        return model.missing(name, version) or stopping or JSONResponse({"name": name, "ready": True})

    async def infer(request: Request, name: str, version: str = "") -> Response:
        return model.missing(name, version) or await model.infer(request)

    for path, say in zip(both, ("The served model", "The served model, of a version"), strict=True):
        schema = path == both[0]
        api.get(path, summary=f"{say}: its tensors", include_in_schema=schema)(metadata)
        api.get(f"{path}/ready", summary=f"{say}: whether it takes requests", include_in_schema=schema)(model_ready)
        api.post(f"{path}/infer", summary=f"{say}: infer", include_in_schema=schema)(infer)


class _Model:
    """The served model as the protocol tells it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.name, self.version = str(service.about["name"]), str(service.about["model"])[:_VERSION] or "1"
        self.form = Form(service.example, service.answer)
        self.metadata = {
            "name": self.name,
            "versions": [self.version],
            "platform": "penjing",
            "inputs": self.form.inputs(),
            "outputs": self.form.outputs(),
        }

    @property
    def ready(self) -> bool:
        return not self.service.batcher.closing

    def missing(self, name: str, version: str) -> Response | None:
        """Return the refusal of another model or version; None for the served one."""
        if name != self.name:
            return _refused(problems.problem(404, f"There is no model {name!r}. {nearest(name, [self.name])}"))
        if version not in ("", self.version):
            return _refused(problems.problem(404, f"There is no version {version!r} of {name!r}. Version {self.version!r} is served."))
        return None

    async def infer(self, request: Request) -> Response:
        asked: list[Question] = []

        def read(body: bytes) -> list[Row]:
            asked.append(self.form.question(body, _length(request.headers.get(LENGTH))))
            return asked[0].rows

        def tell(predictions: list[Prediction]) -> Response:
            body, json_length = self.form.answered({"model_name": self.name, "model_version": self.version}, asked[0], predictions)
            if json_length is None:
                return Response(body, media_type="application/json")
            return Response(body, headers={LENGTH: str(json_length)}, media_type="application/octet-stream")

        return await self.service.reply(request, read, tell, _refused)


def _length(given: str | None) -> int | None:
    if given is not None and not given.isdecimal():
        raise BadBody(400, f"The header {LENGTH} is {given[:40]!r}, not a number of bytes.")
    return None if given is None else int(given)


def _refused(told: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return problems.response({**told, "error": told["detail"]}, headers)
