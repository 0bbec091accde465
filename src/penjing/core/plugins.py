"""Finds things that a config can name. One file = one thing; the file's name is its name.

`load("engines", "openvino-runtime")` imports `penjing/plugins/engines/openvino_runtime.py` and returns its class `OpenvinoRuntime`, or, for
the kinds that are functions, its function `openvino_runtime`. A plugin that has become a folder keeps its class in the module named by the
kind (`learners/transformer/learner.py`), and its config section, readable without the plugin's heavy library, in `options.py` beside it.

Others add theirs by entry points (group `penjing.engines`, name as in a config, value `module:object`), or by naming a folder laid out
like plugins/ in the environment variable PENJING_PLUGINS.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from penjing.core.errors import BadRequest, MissingLibrary, nearest

_HOME = "penjing.plugins"

_EXTRAS = {
    **dict.fromkeys(("torch", "transformers", "peft"), "train"),
    **dict.fromkeys(("onnx", "onnxruntime", "onnxscript"), "onnx"),
    "lightgbm": "tables",
    "optuna": "search",
    "mlflow": "mlflow",
    "tensorboard": "tensorboard",
    "PIL": "images",
    "openvino": "openvino",
    "sklearn": "sklearn",
}
"""The extra of Penjing that brings each optional library."""


def load(kind: str, name: str) -> Any:
    """Return the plugin called `name` (dashes or underscores) of `kind`, the name of a folder under plugins/.

    Raises BadRequest for an unknown name (the nearest is offered), MissingLibrary with the install line where its library is absent.
    """
    return _load(kind, name.replace("_", "-"))


def options(kind: str, name: str) -> Any:
    """Return the plugin's config section without importing its heavy library, where it keeps one apart."""
    file = name.replace("-", "_")
    if file in _files(kind) and _is_folder(kind, file):
        return importlib.import_module(f"{_HOME}.{kind}.{file}.options").Options
    return load(kind, name).Options


def names(kind: str) -> list[str]:
    """Return the names of all plugins of `kind`, sorted; nothing is imported."""
    return sorted({file.replace("_", "-") for file in _files(kind)} | set(_entries(kind)))


def name_of(kind: str, thing: object) -> str:
    """Return the name under which `load` finds the class of `thing`. Raises BadRequest where it is no plugin."""
    for name in names(kind):
        if type(thing).__name__.lower() == name.replace("-", "") and load(kind, name) is type(thing):
            return name
    raise BadRequest(f"{type(thing).__name__} is not among the plugins of kind {kind!r}.")


@cache
def _load(kind: str, name: str) -> Any:
    entries = _entries(kind)
    try:
        if name in entries:
            return entries[name].load()
        file = name.replace("-", "_")
        if file not in _files(kind):
            raise BadRequest(f"There is no {kind.removesuffix('s')} called {name!r}. {nearest(name, names(kind))}")
        path = f"{_HOME}.{kind}.{file}"
        module = importlib.import_module(f"{path}.{kind.removesuffix('s')}" if _is_folder(kind, file) else path)
    except ModuleNotFoundError as error:
        raise missing(error, f"{kind.removesuffix('s')} {name!r}") from error
    camel = "".join(part.capitalize() for part in name.split("-"))
    return getattr(module, camel, None) or getattr(module, file)


def missing(error: ModuleNotFoundError, needed_by: str) -> Exception:
    """Return one sentence with the install line for a library that is not there, or `error` itself where it is our own module."""
    library = (error.name or "").split(".")[0]
    if library in ("", "penjing"):
        return error
    return MissingLibrary(f"The {needed_by} needs the library {library!r}, which is not installed. Install it with: {install_line(library)}")


def install_line(library: str) -> str:
    """Return the command that installs `library`, as an extra of Penjing where it belongs to one."""
    return f"pip install 'penjing[{_EXTRAS[library]}]'" if library in _EXTRAS else f"pip install {library}"


@cache
def _files(kind: str) -> frozenset[str]:
    package = importlib.import_module(f"{_HOME}.{kind}")
    more = os.environ.get("PENJING_PLUGINS")
    if more and (folder := str(Path(more) / kind)) not in package.__path__:
        package.__path__.append(folder)
    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__))


@cache
def _is_folder(kind: str, file: str) -> bool:
    spec = importlib.util.find_spec(f"{_HOME}.{kind}.{file}")
    return spec is not None and spec.submodule_search_locations is not None


@cache
def _entries(kind: str) -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=f"penjing.{kind}")}
