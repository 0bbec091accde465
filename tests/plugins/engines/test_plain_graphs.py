"""Plain graphs in every runtime: the net's own answers, from files that are the same each time and say nothing of the machine that made them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penjing.core import plugins
from penjing.core.errors import RunFailed
from penjing.core.files import read_json, write_json
from penjing.core.graphs.plain import Plain
from penjing.core.types import Batch, Spec, take
from penjing.training.nets.files import described, export_net, in_torch, open_net, save_net
from penjing.training.nets.tabular import FtTransformer, Mlp

SPEC = Spec(3, "softmax")
TOLERANCE = 1e-5
"""Float32 sums in another order differ in the sixth digit; logits here are about one."""
WEIGHTS = {"openvino-runtime": {"model.xml", "model.bin"}, "onnx-runtime": {"model.onnx"}, "torch-runtime": {"net.safetensors"}}


def made(kind: str) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "mlp":
            return Mlp(4, [5, 9], [2, 3, 1, 4], 3, 16, 2, 0.5).eval()
        return FtTransformer(4, [5, 9], 3, 16, 2, 0.5).eval()


def batch(count: int) -> Batch:
    random = np.random.default_rng(0)
    return {"numbers": random.normal(size=(count, 4)).astype(np.float32), "codes": random.integers(-1, 12, (count, 2)).astype(np.int32)}


@pytest.fixture(scope="module", params=[f"{kind} {name}" for kind in ("mlp", "ft-transformer") for name in WEIGHTS])
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path, Any]:
    """A net, a runtime, the folder that the net was exported to, and the engine opened from there."""
    kind, name = request.param.split()
    folder = tmp_path_factory.mktemp(name)
    export_net(made(kind), batch(2), "logits", SPEC, folder, name)
    return kind, name, folder, plugins.load("engines", name).open(folder)


def own(kind: str) -> Plain:
    return in_torch(made(kind), described(made(kind), batch(2), "logits", SPEC))


def test_every_runtime_gives_the_nets_own_answers(export: tuple[str, str, Path, Any]) -> None:
    kind, name, folder, engine = export
    assert np.abs(engine.run(batch(33))["logits"] - own(kind).run(batch(33))["logits"]).max() < TOLERANCE
    assert engine.run(batch(0))["logits"].shape == (0, 3)
    assert engine.work(batch(7)) == 7 * engine.work(batch(1)) > 0
    assert plugins.name_of("engines", engine) == name
    assert {path.name for path in folder.iterdir() if path.suffix != ".json"} == WEIGHTS[name]
    assert not engine.exits


def test_every_runtime_can_be_looked_into_and_shows_the_nets_own_steps(export: tuple[str, str, Path, Any]) -> None:
    kind, _, _, engine = export
    steps, expected = list(engine.layers(batch(9))), list(own(kind).layers(batch(9)))
    first = ["bins", "embeddings"] if kind == "mlp" else ["embeddings"]
    last = ["head"] if kind == "mlp" else ["pooled", "head"]
    assert [name for name, _ in steps] == [*first, "layer 1", "layer 2", *last]
    for (name, values), (same, wanted) in zip(steps, expected, strict=True):
        assert name == same
        assert values.shape == wanted.shape
        assert np.abs(values - wanted).max() < TOLERANCE
    assert np.abs(steps[-1][1] - engine.run(batch(9))["logits"]).max() < TOLERANCE


def test_a_row_is_answered_alike_in_any_company_and_from_any_thread(export: tuple[str, str, Path, Any]) -> None:
    engine = export[3]
    together = engine.run(batch(30))["logits"]
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda i: engine.run(take(batch(30), np.array([i])))["logits"], range(30)))
    assert np.abs(np.concatenate(alone) - together).max() < TOLERANCE


def test_another_export_is_the_same_bytes_and_none_holds_a_path(export: tuple[str, str, Path, Any], tmp_path: Path) -> None:
    kind, name, folder, _ = export
    export_net(made(kind), batch(2), "logits", SPEC, tmp_path, name)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert files == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    held = [str(Path(__file__).parents[3]), sys.prefix, str(Path.home()), str(tmp_path.parent), "site-packages", "stack_trace"]
    assert not [(file, text) for file, content in files.items() for text in held if text.encode() in content]


def test_a_missing_file_is_named(export: tuple[str, str, Path, Any], tmp_path: Path) -> None:
    _, name, folder, _ = export
    (tmp_path / "engine.json").write_bytes((folder / "engine.json").read_bytes())
    with pytest.raises(RunFailed, match="is missing"):
        plugins.load("engines", name).open(tmp_path)


def test_serving_imports_no_torch(tmp_path: Path) -> None:
    export_net(made("mlp"), batch(2), "logits", SPEC, tmp_path, "openvino-runtime")
    program = f"""
import sys
from pathlib import Path
import numpy as np
from penjing.core import plugins
engine = plugins.load("engines", "openvino-runtime").open(Path({str(tmp_path)!r}))
engine.run({{"numbers": np.zeros((3, 4), np.float32), "codes": np.zeros((3, 2), np.int32)}})
print([name for name in ("torch", "transformers", "onnx") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_what_is_saved_opens_to_the_same_net(tmp_path: Path) -> None:
    net = made("mlp")
    save_net(net, tmp_path, described(net, batch(2), "logits", SPEC))
    again, form = open_net(tmp_path)
    assert type(again) is Mlp
    assert np.array_equal(in_torch(again, form).run(batch(9))["logits"], own("mlp").run(batch(9))["logits"])
    assert oct((tmp_path / "net.safetensors").stat().st_mode)[-3:] == "644"


@pytest.mark.parametrize("name", ["os:system", "nets:Net2", "tabular:Binned", "..evil:Mlp", "loop:Mlp", "nets_files:Mlp", "", "tabular:Mlp.x"])
def test_a_file_cannot_name_code_of_its_own(tmp_path: Path, name: str) -> None:
    net = made("mlp")
    save_net(net, tmp_path, described(net, batch(2), "logits", SPEC))
    write_json(tmp_path / "engine.json", {**read_json(tmp_path / "engine.json"), "net": name})
    with pytest.raises(RunFailed, match="cannot|can make again"):
        open_net(tmp_path)


def test_weights_that_do_not_fit_the_net_are_told_in_a_sentence(tmp_path: Path) -> None:
    net = made("mlp")
    save_net(net, tmp_path, described(net, batch(2), "logits", SPEC))
    told = read_json(tmp_path / "engine.json")
    write_json(tmp_path / "engine.json", {**told, "config": {**told["config"], "width": 17}})
    with pytest.raises(RunFailed, match="Export the tier again"):
        open_net(tmp_path)


def test_multiplications_are_counted() -> None:
    form = described(made("mlp"), batch(2), "logits", SPEC)
    entering = 4 + 10 + sum(table.embedding_dim for table in made("mlp").coded.tables)
    assert form.multiplied == entering * 16 + 16 * 16 + 16 * 3
