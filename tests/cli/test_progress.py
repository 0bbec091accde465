from __future__ import annotations

import io

import pytest
from rich.console import Console

from penjing.cli import main
from penjing.cli.progress import Bars


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
