"""What a pretrained encoder makes of each word of its own vocabulary, read alone. Knows nothing of rows or of learning.

The idea of model2vec (Tulkens and van Dongen 2024), for whole words only: the pieces that words are put together from (##ing) have no word
to stand for here. `words` and `folder_of` are light; torch and transformers are imported by `vectors` alone.

Shapes: K words, H hidden units of the encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.files import digest, files_of, sha256
from penjing.core.machine import Machine
from penjing.core.protocols import Fitting
from penjing.core.types import Estimate, NDArray, Spec

_MAX_TOKENS = 16
"""Tokens read of a word; the longest of a vocabulary has fewer."""
_SAMPLE = 200


def folder_of(name: str) -> Path:
    """Return the model's folder, found as the transformer tier finds it. Raises PlanError, or MissingLibrary."""
    return Path(plugins.options("learners", "transformer")(model=name).resolved()["model"])


def words(name: str) -> list[str]:
    """Return the whole words of the model's vocabulary, in the order of their ids. Raises PlanError for a broken tokenizer.json."""
    path = folder_of(name) / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
        prefix = json.loads(path.read_text(encoding="utf-8"))["model"].get("continuing_subword_prefix") or "\0"
    except Exception as error:  # the tokenizers library raises no narrower class
        raise PlanError(f"{path} cannot be read as a tokenizer: {error}. Fetch the model's folder again.") from error
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    ids = {token: i for token, i in tokenizer.get_vocab().items() if token not in special and not token.startswith(prefix)}
    texts = (tokenizer.decode([i], skip_special_tokens=False).strip() for i in sorted(ids.values()))
    return list(dict.fromkeys(text for text in texts if text))


def cost(name: str, read: Sequence[str], outputs: Mapping[str, Spec], machine: Machine) -> Estimate:
    """Return what reading the words costs: as much as a frozen transformer tier over as many rows. Raises what its plan raises."""
    kind = plugins.options("learners", "transformer")
    options = kind(model=name, max_tokens=_MAX_TOKENS, runtime="torch-runtime", unknown_tokens_at_most=1.0)
    rows = [{"word": word} for word in read[:: max(1, len(read) // _SAMPLE)]]
    estimate: Estimate = plugins.load("learners", "transformer").plan(options, rows, ["word"], outputs, machine, len(read))
    return estimate


def vectors(name: str, read: Sequence[str], outputs: Mapping[str, Spec], fitting: Fitting) -> NDArray:
    """Return (K, H) float32, the mean of the encoder's last hidden states over each word. What has been read before comes from the cache."""
    from penjing.training.precision import chosen
    from penjing.training.texts.encoder import pretrained
    from penjing.training.texts.features import features

    folder = folder_of(name)
    kind: Any = plugins.load("processors", "tokens")
    tokens = kind(**kind.options_from([], ["word"], {"model": str(folder), "max_tokens": _MAX_TOKENS}))
    ids = tokens.encode([{"word": word} for word in read])["input_ids"]
    model = digest([sha256(path) for path in files_of(folder) if path.name == "config.json" or path.suffix == ".safetensors"])
    fitting.progress.start("read the model's vocabulary", len(read))
    found = features(pretrained(folder, outputs), ids, chosen("auto"), model, fitting.cache, fitting.progress.advance)
    fitting.progress.finish()
    return found[-1]
