from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from penjing.core.errors import PlanError
from penjing.core.protocols import Silent
from penjing.pipeline.config import read_config
from penjing.pipeline.run import run
from penjing.pipeline.start import signer
from penjing.security.keys import make_key


class Told(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


def reviews(folder: Path) -> Path:
    things, places = ["饭菜", "服务", "房间", "咖啡", "早餐", "位置"], ["酒店", "餐厅", "咖啡馆", "旅馆", "饭店"]
    good, bad = ["非常好吃", "让人满意", "干净舒适", "值得推荐"], ["太差了", "让人失望", "又脏又吵", "不会再来"]
    rows = [f"这家{p}的{t}{w}。,{label}" for label, words in (("好评", good), ("差评", bad)) for p, t, w in product(places, things, words)]
    path = folder / "评论.csv"
    path.write_text("评论,标签\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def key(home: Path) -> None:
    make_key(home)


def test_chinese_is_learnt_by_the_linear_tier_and_the_transformer_says_that_it_does_not_know_the_script(tmp_path: Path) -> None:
    told = Told()
    config = read_config(None, (), {"data": {"source": str(reviews(tmp_path)), "target": "标签"}})
    done = run(config, tmp_path / "run", signer(), told)
    left_out = [sentence for sentence in told.sentences if sentence.startswith("Left out, tier 'transformer-full'")]
    assert len(left_out) == 1
    assert "all-MiniLM-L6-v2" in left_out[0]
    assert "Han" in left_out[0]
    assert "%" in left_out[0]
    assert [entry["tier"] for entry in done.report["leaderboard"]] == ["linear"]
    assert done.report["leaderboard"][0]["measurements"][0]["value"] > 0.9
    assert done.packed is not None
    assert done.packed.package.predictor().predict([{"评论": "早餐非常好吃，值得推荐"}])[0]["label"] == "好评"
    assert "差评" in json.dumps(done.packed.package.manifest.task, ensure_ascii=False)


def test_a_model_that_does_not_know_the_script_is_refused_where_it_was_asked_for(tmp_path: Path) -> None:
    base = {"data": {"source": str(reviews(tmp_path)), "target": "标签"}, "tiers": ["linear", "transformer"]}
    with pytest.raises(PlanError, match="Han"):
        run(read_config(None, (), base), tmp_path / "run", signer())
    assert not (tmp_path / "run" / "train").exists()
