"""What every test shares: a home of its own for keys, and the marker that ties a test to the config key it proves."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from penjing.core.cascade import Predictors, Step


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "changes(key): proves that changing this config key changes behaviour")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for keys that no other test and no user shares."""
    folder = tmp_path_factory.mktemp("home") / "penjing"
    monkeypatch.setenv("PENJING_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def plain() -> Callable[..., Predictors]:
    """Return what tiers of these names can answer with, each alone and uncalibrated."""
    from penjing.core.blend import plain as mean

    def of(names: Iterable[str], serves: str, width: int = 2) -> Predictors:
        steps = {name: Step((name,), mean([name], width, "softmax"), np.zeros(0)).described() for name in names}
        return Predictors(serves, {name: {"name": name, "tiers": [name], "steps": [step]} for name, step in steps.items()})

    return of


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real Hugging Face folder: a BERT of two narrow layers with random weights, and a WordPiece tokenizer that knows Latin letters."""
    import string

    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    characters = string.ascii_lowercase + string.digits + string.punctuation
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *(f"##{c}" for c in string.ascii_lowercase + string.digits)]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 512}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real Hugging Face folder of a vision model: a ViT of two narrow layers with random weights, for images of 32 pixels."""
    import torch
    from transformers import ViTConfig, ViTModel

    folder = tmp_path_factory.mktemp("tiny-vit")
    config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        ViTModel(config).save_pretrained(folder)
    described = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="session")
def models(tiny_model: Path, tiny_vision: Path) -> dict[str, Path]:
    """A model to start from, for each kind of input that has any."""
    return {"text": tiny_model, "image": tiny_vision}
