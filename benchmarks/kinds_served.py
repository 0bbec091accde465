"""How long a served package takes to answer one row over HTTP. Knows a package and a row; not what it holds."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

REQUESTS = 200


def asked_over_http(package: Path, row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Serve `package` in a process of its own and ask it for one row, again and again on a connection of its own each; milliseconds of the wall."""
    body = json.dumps({"rows": [{name: _json(row[name]) for name in columns}]}).encode()
    command = [sys.executable, "-m", "penjing", "serve", str(package), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as server:
        assert server.stdout is not None
        try:
            url = next((line[line.index("http://") :].split()[0].rstrip(".,") for line in server.stdout if "http://" in line), None)
            if url is None:
                raise SystemExit("The server did not start; its own words are above.")
            took = [_asked(f"{url}/v1/predict", body) for _ in range(REQUESTS)][REQUESTS // 10 :]
        finally:
            server.terminate()
    p50, p95 = np.percentile(took, [50, 95])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "requests": len(took), "bytes": len(body)}


def _asked(url: str, body: bytes) -> float:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - started) * 1000


def _json(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
