"""The first difference between two mappings of options, as JSON holds them, in words. Knows lists of names, vocabularies and JSON within a text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_MISSING = object()
_LONGEST = 60


def changed(before: Any, after: Any, path: tuple[str, ...] = ()) -> str | None:
    """Return where `before` and `after` differ first and how ("tokenizer.normalizer.lowercase was true before and is false after"), or None."""
    before, after = _parsed(before), _parsed(after)
    if path[-1:] == ("vocab",) and (x := _numbers(before)) and (y := _numbers(after)):
        return _renumbered(x, y)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        # A vocabulary says more than the numbers that were taken from it, which stand before it in a tokenizer's file.
        keys = sorted({**before, **after}, key=lambda key: key != "model")
        found = (changed(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key)) for key in keys)
        return next((one for one in found if one), None)
    if isinstance(before, Sequence) and isinstance(after, Sequence) and not isinstance(before, str) and not isinstance(after, str):
        return _listed(before, after, path)
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return None
    where = ".".join(path) or "the whole"
    if after is _MISSING:
        return f"{where} was {_shown(before)} before and is missing after"
    if before is _MISSING:
        return f"{where} was missing before and is {_shown(after)} after"
    return f"{where} was {_shown(before)} before and is {_shown(after)} after"


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] == "{":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _numbers(value: Any) -> dict[str, int]:
    """Return a vocabulary, token → number, from either form in which tokenizers write one: a mapping, or pairs of token and weight in order."""
    if isinstance(value, Mapping):
        return dict(value)
    pairs = isinstance(value, list) and all(isinstance(one, list) and len(one) == 2 for one in value)
    return {token: i for i, (token, _) in enumerate(value)} if pairs else {}


def _renumbered(before: Mapping[str, int], after: Mapping[str, int]) -> str | None:
    moved = [token for token in {**before, **after} if before.get(token) != after.get(token)]
    if not moved:
        return None
    was, now = (f"{told[moved[0]]}" if moved[0] in told else "missing" for told in (before, after))
    return f"a stale tokenizer: token {moved[0]!r} was {was} before and is {now} after ({len(moved)} of {len(before)} tokens differ)"


def _listed(before: Sequence[Any], after: Sequence[Any], path: tuple[str, ...]) -> str | None:
    where, names = ".".join(path), all(isinstance(one, str) for one in (*before, *after))
    if names and sorted(before) == sorted(after):
        moved = [i for i in range(len(before)) if before[i] != after[i]]
        if len(moved) == 2:
            return f"the {where} {before[moved[0]]!r} and {before[moved[1]]!r} have changed places"
        if moved:
            return f"the {where} stand in another order: {before[moved[0]]!r} was number {moved[0]} before and {after[moved[0]]!r} is after"
        return None
    if names and (differing := {*before} ^ {*after}):
        first = next(one for one in (*before, *after) if one in differing)
        was = "was there before and is missing after" if first in before else "was missing before and is there after"
        return f"{first!r} among the {where} {was}"
    if len(before) != len(after):
        return f"{where} had {len(before)} entries before and has {len(after)} after"
    found = (changed(x, y, (*path, str(i))) for i, (x, y) in enumerate(zip(before, after, strict=True)))
    return next((one for one in found if one), None)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
