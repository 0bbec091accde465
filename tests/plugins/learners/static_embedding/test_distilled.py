"""What a model makes of its own words: which words these are, and that each is what the model says of it alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from penjing.core import plugins
from penjing.core.errors import PlanError
from penjing.core.examples import Examples
from penjing.core.protocols import Fitting, Silent
from penjing.core.types import Spec
from penjing.plugins.learners.static_embedding import distilled

OUTPUTS = {"logits": Spec(2, "softmax")}


def test_words_are_whole_and_in_the_order_of_the_vocabulary(tiny_model: Path) -> None:
    found = distilled.words(str(tiny_model))
    assert found[-3:] == list("|}~")
    assert "a" in found
    assert not any(word.startswith("##") for word in found)


def test_the_spaces_that_byte_pairs_carry_are_no_part_of_a_word(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "m").mkdir()
    made = Tokenizer(models.BPE({"Ġgood": 0, "good": 1, "ĠÃ©t": 2}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    made.save(str(tmp_path / "m" / "tokenizer.json"))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "m" / name).symlink_to(tiny_model / name)
    assert distilled.words(str(tmp_path / "m")) == ["good", "ét"]


def test_a_vector_is_what_the_model_says_of_the_word_alone(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    found = distilled.vectors(str(tiny_model), ["b", "ab"], OUTPUTS, Fitting(0, Silent(), tmp_path, tmp_path / "cache"))
    tokenizer, body = Tokenizer.from_file(str(tiny_model / "tokenizer.json")), AutoModel.from_pretrained(tiny_model)
    with torch.inference_mode():
        expected = [body(torch.tensor([tokenizer.encode(word).ids])).last_hidden_state[0].mean(0).numpy() for word in ("b", "ab")]
    np.testing.assert_allclose(found, expected, atol=3e-2)  # bfloat16 where the processor is quick at it


def test_the_vocabulary_is_read_once(tiny_model: Path, tmp_path: Path) -> None:
    fitting = Fitting(0, Silent(), tmp_path, tmp_path / "cache")
    one = distilled.vectors(str(tiny_model), ["a", "b"], OUTPUTS, fitting)
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "cache").iterdir())]
    assert np.array_equal(distilled.vectors(str(tiny_model), ["a", "b"], OUTPUTS, fitting), one)
    assert times == [path.stat().st_mtime_ns for path in sorted((tmp_path / "cache").iterdir())]
    assert times


def test_a_broken_tokenizer_is_named(tmp_path: Path, tiny_model: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(tiny_model / name)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(PlanError, match="cannot be read as a tokenizer"):
        distilled.words(str(tmp_path))


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_a_tier_learns_over_the_vectors_of_a_model(tiny_model: Path, tmp_path: Path, tune: str) -> None:
    learner_of = plugins.load("learners", "static-embedding")
    learner = learner_of.create(learner_of.Options(vectors=f"model:{tiny_model}", tune=tune, dimensions=16), OUTPUTS)
    rows = [{"text": "a x y" if i % 2 else "b x z"} for i in range(200)]
    batch = plugins.load("processors", "words")(["text"]).encode(rows)
    examples = Examples(batch, np.arange(200) % 2)
    learner.fit(examples, examples, Fitting(0, Silent(), tmp_path, tmp_path / "cache"))
    assert (np.asarray(learner.run(batch)["logits"]).argmax(1) == np.arange(200) % 2).all()
