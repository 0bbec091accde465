from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from penjing.cli import main, progress
from penjing.cli.progress import Bars, fitted
from penjing.core.curve import Point


def point(step: int, **more: Any) -> Point:
    known = {"examples": 40, "tokens": 5100, "operations": 6.1e9, "joules": 9.0 * step, "of_steps": 200, "of_epochs": 4, "peak": 1e10}
    return Point(step, step / 50, float(step), 40.6 / step, 1e-4, **known | more)


def test_a_terminal_shows_how_far_how_long_and_how_much_memory() -> None:
    bars = Bars(Console(file=(shown := io.StringIO()), force_terminal=True, width=140))
    bars.start("fine-tuning", 200)
    bars.advance(100, "loss 0.123")
    bars.refresh()
    bars.finish()
    text = shown.getvalue()
    for part in ("fine-tuning", "100/200", "loss 0.123", "GB", ":"):
        assert part in text


def test_what_is_no_terminal_gets_a_line_a_step_and_no_bars() -> None:
    bars = Bars(Console(file=(shown := io.StringIO()), width=140))
    bars.start("fine-tuning", 200)
    bars.advance(100)
    bars.finish()
    bars.say("Rows [train]: 3")
    assert shown.getvalue().splitlines() == ["… fine-tuning", "• Rows [train]: 3"]


def test_a_lost_interruption_is_heard_at_the_next_step() -> None:
    bars = Bars(Console(file=io.StringIO()))
    bars.start("reading", 0)
    main.STOP.set()
    try:
        with pytest.raises(KeyboardInterrupt):
            bars.advance(1)
    finally:
        main.STOP.clear()


def test_a_learning_shows_how_it_goes_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_counted", lambda: False)
    bars = Bars(Console(file=(shown := io.StringIO()), force_terminal=True, width=160))
    bars.start("fine-tuning", 200)
    bars.advance(1)
    bars.learning("fine-tuning", point(49))
    bars.learning("fine-tuning", point(50, validation_loss=0.9, quality=0.71))
    bars.learning("fine-tuning", point(70))
    bars.refresh()
    bars.finish()
    line = "fine-tuning  epoch 1.4 of 4  loss 0.580  validation 0.900  quality 0.71  255 tokens/s  3% of peak"
    assert line in shown.getvalue()
    assert "~9 W  2:10 left" in shown.getvalue()
    assert "GB" in shown.getvalue()


def test_watts_are_an_estimate_where_no_counter_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for counters, said in ((tmp_path, "  ~9 W"), (tmp_path / "powercap", "  9 W")):
        zone = tmp_path / "powercap" / "intel-rapl:0"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "energy_uj").write_text("123")
        monkeypatch.setattr(progress, "COUNTERS", counters)
        progress._counted.cache_clear()
        bars = Bars(Console(file=(shown := io.StringIO()), width=200))
        bars.learning("a", point(199))
        bars.learning("a", point(200))
        assert said in shown.getvalue()
    progress._counted.cache_clear()


def test_after_a_learning_bars_are_drawn_again() -> None:
    bars = Bars(Console(file=(shown := io.StringIO()), force_terminal=True, width=140))
    bars.start("fine-tuning", 200)
    bars.learning("fine-tuning", point(1))
    bars.start("measure", 300)
    bars.advance(150)
    bars.refresh()
    bars.finish()
    assert "150/300" in shown.getvalue()


def test_a_narrow_terminal_misses_first_what_can_be_missed_soonest() -> None:
    parts = ["net", "epoch 1 of 4", "loss 0.580", "729 tokens/s", "9% of peak", "1.2 GB", "~9 W", "2:10 left"]
    assert fitted(parts, 90) == "  ".join(parts)
    assert fitted(parts, 70) == "net  epoch 1 of 4  loss 0.580  729 tokens/s  9% of peak  2:10 left"
    assert fitted(parts, 42) == "net  epoch 1 of 4  loss 0.580  2:10 left"
    assert len(fitted(parts, 10)) == 10


def test_what_is_no_terminal_gets_a_line_where_a_long_epoch_or_the_last_one_ends() -> None:
    bars = Bars(Console(file=(shown := io.StringIO()), width=300))
    bars.start("fine-tuning", 200)
    for step in (20, 50, 51, 99, 100, 150, 199, 200):
        ends = step % 50 == 0
        bars.learning("net [a]", point(step, **({"validation_loss": 0.5, "quality": 0.8} if ends else {})))
    said = [line.split("  ")[1] for line in shown.getvalue().splitlines() if "net [a]" in line]
    assert said == ["epoch 1 of 4", "epoch 2 of 4", "epoch 3 of 4", "epoch 4 of 4"]
    shown.truncate(0)
    bars.finish()
    for step in (50, 100, 150, 200):  # epochs of less than a second
        bars.learning("net", Point(step, step / 50, step / 100, 1.0, 0.1, of_epochs=4))
    said = [line.split("  ")[1] for line in shown.getvalue().splitlines()]
    assert said == ["epoch 1 of 4", "epoch 4 of 4"]


def test_a_lost_interruption_is_heard_while_learning_too() -> None:
    bars = Bars(Console(file=io.StringIO()))
    main.STOP.set()
    try:
        with pytest.raises(KeyboardInterrupt):
            bars.learning("a", point(1))
    finally:
        main.STOP.clear()
