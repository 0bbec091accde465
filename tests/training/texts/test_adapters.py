"""Adapters beside a tiny BERT: what they compute is held against peft's own modules, and what they become against the plain weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from penjing.core.errors import MissingLibrary, PlanError
from penjing.core.models import shapes
from penjing.training.quiet import quiet
from penjing.training.texts.adapter_targets import METHODS, learnt, matched, matrices
from penjing.training.texts.adapters import adapt, extra, merged, plain, product, separate

F32, BF16 = torch.float32, torch.bfloat16
ALL = ["all"]


@pytest.fixture
def body(tiny_model: Path) -> Any:
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.AutoModel.from_pretrained(tiny_model).eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.arange(24).reshape(3, 8)


def states(body: Any, ids: torch.Tensor) -> torch.Tensor:
    return body(input_ids=ids).last_hidden_state


def adapted(body: Any, method: str, targets: list[str] | None = None, dropout: float = 0.0, seed: int = 0) -> Any:
    adapt(body, method, 4, 8.0, dropout, targets or [], seed)
    return body


def moved(body: Any, ids: torch.Tensor, steps: int = 5) -> Any:
    """Let what can be learnt in `body` learn something."""
    wanted = torch.randn(3, 8, 32, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam([one for one in body.parameters() if one.requires_grad], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        (states(body, ids) - wanted).square().mean().backward()
        optimizer.step()
    return body


def copied(body: Any) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in body.state_dict().items()}


@pytest.mark.parametrize("method", METHODS)
def test_an_adapted_body_says_what_it_said(body: Any, ids: torch.Tensor, method: str) -> None:
    before = states(body, ids)
    torch.testing.assert_close(states(adapted(body, method), ids), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_adapters_learn_and_the_rest_stays_as_it_is(body: Any, ids: torch.Tensor, method: str) -> None:
    plain_weights, before = copied(body), copied(adapted(body, method))
    after = copied(moved(body, ids))
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {name for name, one in body.named_parameters() if one.requires_grad}
    assert changed
    kept = {name.replace(".base_layer", ""): one for name, one in after.items() if name not in changed}
    assert kept.keys() == plain_weights.keys()
    assert all(torch.equal(kept[name], plain_weights[name]) for name in kept)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("targets", [[], ALL])
def test_as_many_numbers_are_learnt_as_a_plan_counts(tiny_model: Path, body: Any, method: str, targets: list[str]) -> None:
    sizes = matrices(shapes(tiny_model))
    count = learnt(sizes, matched(sizes, method, targets), method, 4)
    assert sum(one.numel() for one in adapted(body, method, targets).parameters() if one.requires_grad) == count


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("targets", [[], ALL])
def test_a_merged_body_is_plain_and_says_the_same(body: Any, ids: torch.Tensor, method: str, targets: list[str]) -> None:
    names, original = list(body.state_dict()), states(body, ids)
    expected = states(moved(adapted(body, method, targets), ids), ids)
    result = merged(body)
    assert list(result.state_dict()) == names
    assert not hasattr(result, "peft_config")
    assert all(one.requires_grad for one in result.parameters())
    torch.testing.assert_close(states(result, ids), expected, rtol=0, atol=1e-5)
    assert (expected - original).abs().max() > 1e-2


def test_a_merged_body_is_saved_and_opened_as_any_other(tmp_path: Path, body: Any, ids: torch.Tensor) -> None:
    expected = states(merged(moved(adapted(body, "dora"), ids)), ids)
    with quiet():
        body.save_pretrained(tmp_path)
        opened = transformers.AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(states(opened, ids), expected, rtol=0, atol=0)


def test_a_body_without_adapters_is_merged_into_itself(body: Any) -> None:
    before = copied(body)
    assert merged(body) is body
    assert all(torch.equal(one, before[name]) for name, one in body.state_dict().items())


def pairs(body: Any) -> list[tuple[Any, torch.Tensor]]:
    """Return every adapted matrix with something that it could read."""
    generator = torch.Generator().manual_seed(2)
    return [(module, torch.randn(6, module.in_features, generator=generator)) for module in body.modules() if hasattr(module, "base_layer")]


@pytest.mark.parametrize("method", METHODS)
def test_a_product_is_what_peft_computes(body: Any, ids: torch.Tensor, method: str) -> None:
    moved(adapted(body, method, ALL), ids)
    found = pairs(body)
    assert len(found) == 12
    for module, x_TK in found:
        torch.testing.assert_close(product(module, x_TK, F32), module(x_TK), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_product_has_the_gradients_of_peft(body: Any, ids: torch.Tensor, method: str) -> None:
    moved(adapted(body, method, ALL), ids)
    for module, x_TK in pairs(body):
        learnt_ones = [one for one in module.parameters() if one.requires_grad]
        weights = torch.linspace(0, 1, module.out_features)
        ours, theirs = (torch.autograd.grad((said * weights).sum(), learnt_ones) for said in (product(module, x_TK, F32), module(x_TK)))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_dropout_falls_where_that_of_peft_does(body: Any, ids: torch.Tensor, method: str) -> None:
    moved(adapted(body, method, ALL, dropout=0.5), ids)
    body.train()
    for module, x_TK in pairs(body):
        said = []
        for ask in (lambda module=module, x=x_TK: product(module, x, F32), lambda module=module, x=x_TK: module(x)):
            torch.manual_seed(3)
            said.append(ask())
        torch.testing.assert_close(*said, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(said[0], without_dropout(module, x_TK), atol=1e-3)


def without_dropout(module: Any, x_TK: torch.Tensor) -> torch.Tensor:
    module.eval()
    said = product(module, x_TK, F32)
    module.train()
    return said


@pytest.mark.parametrize("method", METHODS)
def test_a_product_in_bfloat16_is_that_in_float32_to_its_precision(body: Any, ids: torch.Tensor, method: str) -> None:
    moved(adapted(body, method, ALL), ids)
    for module, x_TK in pairs(body):
        said, expected = product(module, x_TK.to(BF16), BF16), product(module, x_TK, F32)
        assert said.dtype == BF16
        # 8 bits of a number: 1/256 a rounding, of values up to the largest, through three products at most
        torch.testing.assert_close(said.float(), expected, rtol=0, atol=4 / 256 * expected.abs().max().item())


def test_a_product_of_a_plain_matrix_is_its_own(body: Any) -> None:
    linear, x_TK = body.encoder.layer[0].attention.self.query, torch.randn(6, 32, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(product(linear, x_TK, F32), linear(x_TK))
    assert extra(linear, x_TK, F32) is None
    assert separate(linear)
    assert plain(linear) is linear


def test_what_lora_adds_can_be_asked_for_alone(body: Any, ids: torch.Tensor) -> None:
    moved(adapted(body, "lora", ALL), ids)
    for module, x_TK in pairs(body):
        assert separate(module)
        added = extra(module, x_TK, F32)
        assert added is not None
        assert added.abs().max() > 1e-3
        torch.testing.assert_close(plain(module)(x_TK) + added, module(x_TK), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["dora", "ia3"])
def test_what_cannot_be_told_apart_says_so(body: Any, ids: torch.Tensor, method: str) -> None:
    for module, x_TK in pairs(adapted(body, method, ALL)):
        assert not separate(module)
        with pytest.raises(ValueError, match="take product"):
            extra(module, x_TK, F32)


def test_the_seed_decides_what_learning_begins_with(tiny_model: Path) -> None:
    def begun(seed: int) -> dict[str, torch.Tensor]:
        with quiet():
            return copied(adapted(transformers.AutoModel.from_pretrained(tiny_model), "lora", seed=seed))

    one, again, other = begun(1), begun(1), begun(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one if "lora_A" in name)


def test_no_other_chance_is_touched(body: Any) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    adapted(body, "lora")
    assert torch.equal(torch.rand(1), expected)


def test_ia3_rescales_what_goes_back_from_the_wider_layer_before_the_product(body: Any) -> None:
    layer = adapted(body, "ia3", ALL).encoder.layer[0]
    assert layer.output.dense.is_feedforward
    assert not layer.attention.self.value.is_feedforward
    assert not layer.attention.output.dense.is_feedforward


def test_a_target_that_is_not_there_is_refused_and_nothing_is_changed(body: Any) -> None:
    names = list(body.state_dict())
    with pytest.raises(PlanError, match=r"'q_proj'.*attention\.self\.query"):
        adapted(body, "lora", ["q_proj"])
    assert list(body.state_dict()) == names


def test_adapters_are_not_put_beside_adapters(body: Any) -> None:
    with pytest.raises(ValueError, match="merged"):
        adapted(adapted(body, "lora"), "dora")


def test_a_missing_peft_is_one_sentence_with_its_install_line(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingLibrary, match=r"'lora'.*'peft'.*pip install"):
        adapted(body, "lora")


def test_peft_is_imported_only_for_an_adapter() -> None:
    program = """
import sys
import torch
from penjing.training.texts.adapters import extra, merged, product
linear = torch.nn.Linear(8, 8)
product(linear, torch.ones(1, 8), torch.float32)
extra(linear, torch.ones(1, 8), torch.float32)
merged(linear)
sys.exit("peft" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
