"""Whether a static-embedding tier can work here and what it will cost, before anything is spent. Light: no torch, no transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penjing.core import plugins
from penjing.core.machine import Machine
from penjing.core.types import Estimate, Row, Spec
from penjing.plugins.learners.static_embedding import distilled, start
from penjing.plugins.learners.static_embedding.options import Options

_SAMPLE = 200
_ENCODE_NS, _NUMBER_NS, _WORD_NS, _PARSE_NS = 100, 5.0, 7_000, 250
"""Time to encode a word of a row, to learn from one number of its vector in an epoch, to read a word of a file or a tokenizer, and to read a
number of a file. Measured on one core of an AMD EPYC of 2.6 GHz, with busy neighbours.
"""
_NEW = 0.05
"""Words kept per word of the rows; measured on 20 Newsgroups."""
_BASE_BYTES = 220 << 20
_COPIES = 6
"""Of the vectors, at most: what is read, and twice as much each about its mean and turned (float64); or as they begin, are and were best."""


def estimate(options: Options, rows: Sequence[Row], columns: Sequence[str], outputs: Mapping[str, Spec], machine: Machine, count: int) -> Estimate:
    """Return the cost of learning from `count` rows like `rows`. Raises PlanError, DataError, or MissingLibrary with the install line."""
    sample, ((_, spec),) = rows[:_SAMPLE], outputs.items()
    processor = plugins.load("processors", start.PROCESSOR)
    encoded = processor(**processor.options_from(rows, columns, options.resolved())).encode(sample)
    source = start.Source.of(options)
    start.check_covered(options, source.covers(encoded["features"].values, encoded["counts"].values))
    values = count * len(encoded["features"].values) / max(len(sample), 1)
    kept = min(float(options.vocabulary), _NEW * values + len(source.numbers))
    vectors = 4 * kept * options.dimensions
    learning = (_ENCODE_NS + _NUMBER_NS * options.epochs * options.dimensions) * values
    reading = _WORD_NS * len(source.words) + (_PARSE_NS * min(kept, len(source.numbers)) * options.dimensions if options.source[0] == "path" else 0)
    seconds = 1 + (learning + reading) / 1e9
    memory, disk = _BASE_BYTES + 24 * values + _COPIES * vectors + 200 * len(source.words), 6 * values + kept * (8 + 8 * spec.width)
    why = f"{values / max(count, 1):.0f} words a row, {options.dimensions} dimensions"
    if options.source[0] == "model":
        model = distilled.cost(options.source[1], [source.words[place] for place in source.places], outputs, machine)
        seconds, memory, disk = seconds + model.seconds, memory + model.memory_bytes, disk + vectors
        why += f", and {len(source.places):,} words read by a model of {model.why}"
    return Estimate(round(seconds, 1), int(memory), int(disk), why)
