"""Texts become the ids of the model's own tokenizer, whatever the texts hold."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from penjing.core.errors import PlanError
from penjing.plugins.processors.tokens import Tokens


def made(folder: Path, columns: list[str] | None = None, max_tokens: int = 16) -> Tokens:
    return Tokens(**Tokens.options_from([], columns or ["text"], {"model": str(folder), "max_tokens": max_tokens}))


def ids(processor: Tokens, *texts: object) -> list[list[int]]:
    encoded = processor.encode([{"text": text} for text in texts])["input_ids"]
    return [encoded[i].tolist() for i in range(len(texts))]


def test_ids_are_those_of_the_tokenizer_itself(tokenizer_folder: Path) -> None:
    own = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    own.no_padding()
    own.no_truncation()
    assert ids(made(tokenizer_folder), "works very well", "no help") == [own.encode(text).ids for text in ("works very well", "no help")]


def test_a_row_does_not_depend_on_the_rows_beside_it(tokenizer_folder: Path) -> None:
    processor = made(tokenizer_folder)
    texts = ["good", "very bad pain " * 9, ""]
    assert ids(processor, *texts) == [ids(processor, text)[0] for text in texts]


def test_special_tokens_stay_when_a_text_is_cut(tokenizer_folder: Path) -> None:
    (cut,) = ids(made(tokenizer_folder, max_tokens=8), "good " * 50)
    assert len(cut) == 8
    assert (cut[0], cut[-1]) == (2, 3)


@pytest.mark.changes("learners.transformer.max_tokens")
def test_max_tokens_is_how_much_is_read(tokenizer_folder: Path) -> None:
    text = "good " * 50
    assert [len(ids(made(tokenizer_folder, max_tokens=n), text)[0]) for n in (8, 16)] == [8, 16]


def test_columns_are_joined_and_missing_values_are_empty(tokenizer_folder: Path) -> None:
    processor = made(tokenizer_folder, ["title", "text"])
    assert processor.texts([{"title": "good", "text": "works"}, {"text": None}, {"title": 7}]) == ["good \n works", " \n ", "7 \n "]


@pytest.mark.parametrize("text", ["\0", "\ud800 good", "😀👩‍👩‍👧", "e\u0301\u0301", "\u202e\ufeff", " " * 1000, None, 3.5])
def test_no_text_is_too_odd(tokenizer_folder: Path, text: object) -> None:
    (found,) = ids(made(tokenizer_folder), text)
    assert (found[0], found[-1]) == (2, 3)


def test_a_huge_text_costs_no_more_than_a_long_one(tokenizer_folder: Path) -> None:
    processor = made(tokenizer_folder)
    assert len(processor.texts([{"text": "x" * 10_000_000}])[0]) < 1000


def test_its_fields_are_json_and_make_it_again(tokenizer_folder: Path) -> None:
    processor = made(tokenizer_folder)
    ids(processor, "good")
    again = Tokens(**json.loads(json.dumps(asdict(processor))))
    assert again == processor
    assert ids(again, "good well") == ids(processor, "good well")


def test_threads_get_the_same_ids(tokenizer_folder: Path) -> None:
    processor = made(tokenizer_folder)
    with ThreadPoolExecutor(8) as pool:
        assert len({str(found) for found in pool.map(lambda _: ids(processor, "very good relief"), range(64))}) == 1


def test_a_missing_tokenizer_is_named_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"tokenizer\.json is missing.*save_pretrained"):
        made(tmp_path)


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(PlanError, match="cannot be read as a tokenizer"):
        made(tmp_path)


@pytest.mark.parametrize("module", ["processors.tokens", "engines.openvino_runtime", "engines.onnx_runtime", "learners.transformer.learner"])
def test_serving_and_planning_import_no_torch(module: str) -> None:
    code = f"import sys, penjing.plugins.{module}; print([m for m in ('torch', 'transformers', 'openvino_telemetry') if sys.modules.get(m)])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
