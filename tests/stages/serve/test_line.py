"""Who is computed next and who is refused, with plain lists and a clock that stands still."""

from __future__ import annotations

from typing import Any

import pytest

from penjing.stages.serve.line import Line, Pace, Part, Request, Work


def line(steps: int = 1, max_rows: int = 8, max_tokens: int = 1000) -> Line:
    return Line(steps, max_rows, max_tokens, max_wait_s=0.0)


def placed(count: int = 1, **request: Any) -> Request:
    return Request([{"number": number} for number in range(count)], **request)


def arrived(into: Line, count: int = 1, step: int = 0, tokens: int = 1, **request: Any) -> Request:
    """A request that is ready for `step`."""
    asked = placed(count, **request)
    into.place(asked)
    into.arrive(asked)
    into.add(Work(asked, None, range(count), [tokens] * count, step))
    return asked


def taken(of: Line, now_s: float = 0.0) -> list[tuple[Request, int]]:
    parts, _ = of.take(now_s)
    return [(part.work.request, part.rows) for part in parts]


def computed(of: Line, seconds: float, deferred: int = 0) -> list[Part]:
    """Compute the next batch in so many seconds."""
    parts, _ = of.take(0.0)
    of.ended(parts, seconds, seconds, deferred)
    return parts


def test_a_batch_holds_no_more_tokens_than_it_may() -> None:
    waiting = line(max_tokens=100)
    long, short, other = arrived(waiting, 1, tokens=60), arrived(waiting, 3, tokens=20), arrived(waiting, 1, tokens=50)
    assert taken(waiting) == [(long, 1), (short, 2)]
    assert taken(waiting) == [(short, 1), (other, 1)]
    assert waiting.rows == waiting.ready == 0


def test_a_row_of_more_tokens_than_a_batch_goes_alone() -> None:
    waiting = line(max_tokens=100)
    huge, small = arrived(waiting, 1, tokens=500), arrived(waiting, 1, tokens=1)
    assert taken(waiting) == [(huge, 1)]
    assert taken(waiting) == [(small, 1)]


def test_lower_priorities_go_first() -> None:
    waiting = line(max_rows=1)
    usual, urgent, late = arrived(waiting), arrived(waiting, priority=-1), arrived(waiting, priority=3)
    assert [taken(waiting)[0][0] for _ in range(3)] == [urgent, usual, late]


def test_who_asks_little_does_not_wait_behind_who_asks_much() -> None:
    waiting = line(max_rows=2)
    crowd = [arrived(waiting, 2, tenant="much") for _ in range(5)]
    first = arrived(waiting, 2, tenant="little")
    order = [taken(waiting)[0][0] for _ in range(6)]
    assert order.index(first) == 1
    assert [request for request in order if request is not first] == crowd


def test_two_who_ask_much_are_served_by_turns() -> None:
    waiting = line(max_rows=1)
    for tenant in ("a", "a", "a", "b", "b", "b"):
        arrived(waiting, tenant=tenant)
    assert [taken(waiting)[0][0].tenant for _ in range(6)] == ["a", "b", "a", "b", "a", "b"]


def test_who_was_away_is_owed_nothing() -> None:
    waiting = line(max_rows=1)
    for _ in range(50):
        arrived(waiting, tenant="a")
        taken(waiting)
    for tenant in ("a", "a", "b", "b"):
        arrived(waiting, tenant=tenant)
    assert sorted(taken(waiting)[0][0].tenant for _ in range(2)) == ["a", "b"]


def test_what_stands_last_is_the_newest_of_whoever_holds_most() -> None:
    waiting = line()
    arrived(waiting, tenant="a")
    newest = [arrived(waiting, tenant="a") for _ in range(2)][-1]
    arrived(waiting, tenant="b")
    assert waiting.last() is newest
    unimportant = arrived(waiting, tenant="b", priority=1)
    assert waiting.last() is unimportant


def test_what_has_left_is_not_held_on_to() -> None:
    waiting = line(max_rows=1)
    kept = [arrived(waiting) for _ in range(3)]
    for _ in range(5000):
        waiting.leave(arrived(waiting, priority=9))
        assert waiting.last() is kept[-1]
    assert len(waiting._heaps[0]) < 600
    assert len(waiting._ends) < 10
    assert [taken(waiting)[0][0] for _ in range(3)] == kept
    assert waiting.rows == 0


def test_what_has_begun_gives_way_to_nobody() -> None:
    waiting = line(max_rows=2)
    arrived(waiting, 5)
    taken(waiting)
    assert waiting.last() is None


def test_a_request_whose_time_is_up_is_not_computed() -> None:
    waiting = line()
    late, good = arrived(waiting, 3, deadline_s=5.0), arrived(waiting, deadline_s=15.0)
    parts, given_up = waiting.take(10.0)
    assert [part.work.request for part in parts] == [good]
    assert given_up == [late]
    assert waiting.rows == waiting.ready == 0


def test_the_earliest_step_goes_first_and_a_batch_is_of_one_step() -> None:
    waiting = line(steps=2)
    deferred, new = arrived(waiting, step=1), arrived(waiting)
    assert taken(waiting) == [(new, 1)]
    assert taken(waiting) == [(deferred, 1)]


def test_deferred_rows_keep_the_place_that_they_arrived_with() -> None:
    waiting = line(steps=2, max_rows=1)
    first, second = arrived(waiting), arrived(waiting)
    taken(waiting), taken(waiting)
    for request in (second, first):
        waiting.back(request, 1)
        waiting.add(Work(request, None, [0], [1], 1))
    assert [taken(waiting)[0][0] for _ in range(2)] == [first, second]


def test_the_pace_follows_tokens_and_counts_the_steps_to_come() -> None:
    pace = Pace(2)
    assert not pace.known
    pace.note(0, rows=10, tokens=10, seconds=0.1, deferred=5)
    pace.note(1, rows=5, tokens=500, seconds=1.0, deferred=0)
    assert pace.of_rows(0, 10) == pytest.approx(0.1 + 1.0)
    assert pace.of_rows(1, 2) == pytest.approx(0.4)
    assert pace.of_rows(1, 2, tokens=50) == pytest.approx(0.1)


def test_what_stands_ahead_is_told_in_seconds() -> None:
    waiting = line()
    arrived(waiting, 4)
    computed(waiting, seconds=4.0)
    arrived(waiting, 6, tenant="much")
    arrived(waiting, 3, tenant="little", priority=1)
    assert waiting.ahead_s(placed(2, tenant="much")) == pytest.approx(8.0)
    assert line().ahead_s(placed(2)) == 0
    assert waiting.ahead_s(placed(2, tenant="other")) == pytest.approx(4.0), "no more of each other than its own"
    assert waiting.ahead_s(placed(2, tenant="other", priority=1)) == pytest.approx(6.0)


def test_tenants_who_ask_nothing_are_forgotten() -> None:
    waiting = line()
    for number in range(5000):
        asked = arrived(waiting, tenant=str(number))
        computed(waiting, seconds=0.001)
        waiting.leave(asked)
    assert not waiting._tags
