"""Config sections: strict models whose errors speak the user's own spelling, and the YAML they are read from.

A section stands beside the stage or plugin it configures; every field has a docstring with its unit, which is also its description in
the published JSON Schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from penjing.core.errors import ConfigError, nearest


class Section(pydantic.BaseModel):
    """A part of penjing.yaml: unknown keys are refused, values are checked, and it cannot change after it is read."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    def resolved(self) -> dict[str, Any]:
        """Return the values as a processor is given them; a learner whose options name things to look up does so here."""
        return self.model_dump(mode="json")


S = TypeVar("S", bound=Section)


def load(model: type[S], path: Path | None, overrides: Sequence[str] = (), base: dict[str, Any] | None = None) -> S:
    """Read `path` (YAML), lay `overrides` ("train.epochs=3") over it and check the whole against `model`.

    `base` stands in for the file where there is none. Raises ConfigError with file, line and remedy.
    """
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}. Make one with: penjing init DATA --target COLUMN") from error
    try:
        values = yaml.safe_load(text) if path is not None else (base or {})
        lines = _lines(yaml.compose(text, Loader=yaml.SafeLoader)) if text else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: this is not valid YAML: {getattr(error, 'problem', error)}.") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections such as 'data:' and 'tiers:', found {type(values).__name__}.")
    for override in overrides:
        _override(values, override)
    return check(model, values, str(path or "the request"), lines)


def check(model: type[S], values: dict[str, Any], source: str, lines: dict[tuple[Any, ...], int] | None = None) -> S:
    """Validate `values` and turn every complaint into one sentence in the user's spelling. Raises ConfigError."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as errors:
        raise ConfigError("\n".join(_sentence(e, model, source, lines or {}) for e in errors.errors())) from errors


def described(model: type[Section]) -> dict[str, Any]:
    """Return the JSON Schema of `model` with every section in it written out: it can stand inside another schema."""
    schema = model.model_json_schema()
    defined = schema.pop("$defs", {})

    def written(part: Any) -> Any:
        if isinstance(part, dict):
            beside = {key: written(value) for key, value in part.items() if key != "$ref"}
            return {**written(defined[part["$ref"].rpartition("/")[2]]), **beside} if "$ref" in part else beside
        return [written(one) for one in part] if isinstance(part, list) else part

    found: dict[str, Any] = written(schema)
    return found


def dump(config: Section) -> str:
    """Return `config` as YAML, defaults and all."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected KEY=VALUE, such as --set seed=3.")
    at: Any = values
    *parents, last = key.split(".")
    for name in parents:
        if isinstance(at, list):
            at = at[_index(name, at, override)]
        else:
            if not isinstance(at.get(name), dict | list):
                at[name] = {}
            at = at[name]
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML.") from error
    if isinstance(at, list):
        at[_index(last, at, override)] = parsed
    else:
        at[last] = parsed


def _index(name: str, items: list[Any], override: str) -> int:
    """Return the place of the item that `name` means: its number, or its `name:`."""
    for i, item in enumerate(items):
        if name == str(i) or (isinstance(item, dict) and item.get("name") == name) or item == name:
            if not isinstance(items[i], dict):
                items[i] = {"learner": items[i]}
            return i
    known = [i["name"] for i in items if isinstance(i, dict) and "name" in i]
    raise ConfigError(
        f"--set {override}: {name!r} is not in the list. {nearest(name, known) if known else f'It has {len(items)} items, counted from 0.'}"
    )


def _lines(node: yaml.Node | None, at: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], int]:
    """Return the line (from 1) on which each key of the document stands, by its path. Raises ConfigError for a key that stands twice."""
    found: dict[tuple[Any, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*at, key.value)
            if path in found:
                lines = f"lines {found[path]} and {key.start_mark.line + 1}"
                raise ConfigError(f"The key {'.'.join(map(str, path))!r} stands twice ({lines}). Keep one of them.")
            found[path] = key.start_mark.line + 1
            found |= _lines(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            found[(*at, i)] = value.start_mark.line + 1
            found |= _lines(value, (*at, i))
    return found


def _sentence(error: Any, model: type[Section], source: str, lines: dict[tuple[Any, ...], int]) -> str:
    path = tuple(p for p in error["loc"] if isinstance(p, int | str))
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = f"{source}, line {line}" if line else source
    key = ".".join(map(str, path))
    inner = (error.get("ctx") or {}).get("error")
    if isinstance(inner, ConfigError):
        return f"{where}: {inner}"
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no key {key!r}. {nearest(str(path[-1]), _known(model, path[:-1]))}"
    if error["type"] == "missing":
        return f"{where}: the key {key!r} is missing."
    return f"{where}: {key} is {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}."


def _known(model: Any, path: tuple[Any, ...]) -> list[str]:
    """Return the keys allowed at `path` below `model`."""
    for name in path:
        field = getattr(model, "model_fields", {}).get(name)
        if field is None:
            break
        model = field.annotation
    return list(getattr(model, "model_fields", {}))
