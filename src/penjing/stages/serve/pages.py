"""The two pages a browser sees: `/` to try the model and `/docs`, a reading of the OpenAPI document. Nothing in them is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

_FRONT = Path(__file__).with_name("page.html")


def front() -> str:
    """Return the page to try the model with."""
    return _FRONT.read_text(encoding="utf-8")


def headers(html: str) -> dict[str, str]:
    """Return headers that let the page run its own style and script, ask its own server, and nothing else."""
    styles, scripts = (
        " ".join(_hash(text) for text in re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)) or "'none'" for tag in ("style", "script")
    )
    policy = f"default-src 'none'; style-src {styles}; script-src {scripts}; connect-src 'self'; img-src data:; "
    policy += "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return {"content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def docs(schema: Mapping[str, Any], base: str) -> str:
    """Return the OpenAPI document `schema` as a page; `base` is the server's address in the examples."""
    style = re.search(r"<style>.*?</style>", front(), re.DOTALL)
    operations = "".join(
        _operation(method, path, operation, base) for path, methods in schema["paths"].items() for method, operation in methods.items()
    )
    title = escape(schema["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · API</title>{style.group() if style else ''}</head><body><main><header><h1>{title}</h1>"
        f"<p>{escape(schema['info']['description'])}</p><p><a href='.'>Try it</a> · <a href='openapi.json'>openapi.json</a></p></header>"
        f"{operations}</main></body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any], base: str) -> str:
    answers = "".join(
        f"<tr><th scope='row'>{code}</th><td>{escape(a.get('description', ''))}</td></tr>" for code, a in operation["responses"].items()
    )
    example = next((c["example"] for c in operation["responses"]["200"].get("content", {}).values() if "example" in c), None)
    shown = f"<p>answers</p><pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>" if example is not None else ""
    asks = "<p>or</p>".join(f"<pre>{escape(ask)}</pre>" for ask in _curls(path, operation, base))
    return (
        f"<section class='card'><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}</p>"
        f"{asks}{shown}<table>{answers}</table></section>"
    )


def _curls(path: str, operation: Mapping[str, Any], base: str) -> list[str]:
    """Return commands that ask an operation: a form first where a row has files, since JSON has them in base64 only."""
    ask = f"curl {shlex.quote(base.rstrip('/') + path)}"
    if "requestBody" not in operation:
        return [ask]
    content = operation["requestBody"]["content"]
    example = content["application/json"]["schema"]["example"]
    as_json = f"{ask} \\\n  -H 'content-type: application/json' \\\n  -d {shlex.quote(json.dumps(example, ensure_ascii=False))}"
    form = content["multipart/form-data"]["schema"]["properties"]
    files = [column for column, said in form.items() if said.get("format") == "binary"]
    if not files:
        return [as_json]
    [row] = example["rows"]
    fields = (f"{column}=@FILE" if column in files else f"{column}={_typed(row[column])}" for column in form)
    return [" \\\n  ".join([ask, *(f"-F {shlex.quote(field)}" for field in fields)]), as_json]


def _typed(value: Any) -> str:
    """Return a value as somebody would type it into a form."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
