"""Decides which rows are computed next, and whether there is room for more: plain lists and numbers, no threads, no clock, no model.

Who asks is served fairly: each piece of work gets a start tag when it arrives, which runs ahead with what its tenant asks (start-time fair queueing,
Goyal, Vin and Cheng 1996, section 2), so that a tenant who asks much waits behind one who asks little. When there is no room, what stands last gives
way: the newest of the tenant that holds most, or of the least priority.

A cascade has a line for each of its steps. The earliest goes first: a cheap step answers most rows, and takes little.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from penjing.core.types import Prediction, Row

_NEW = 0.2
"""Weight of the last batch in what is known of the pace."""
_TENANTS = 1000
"""Tenants that are remembered, before those are forgotten that have asked for nothing for a while."""
_STALE = 256
"""Works of a step that may have left before they are looked for."""
_LEAST = 1e-9
"""Seconds a row, while no pace is known."""


@dataclass(eq=False, slots=True)
class Request:
    """Rows that are asked together, and answered together."""

    rows: list[Row]
    tenant: str = ""
    """Who asks. Tenants share the machine alike."""
    priority: int = 0
    """Lower ones first, whoever asks."""
    deadline_s: float = math.inf
    """When an answer is of no use any more, by the clock of the batcher."""
    future: Future[list[Prediction]] = field(default_factory=Future)
    answers: list[Prediction | None] = field(default_factory=list)
    left: int = 0
    """Rows that have no answer yet."""
    tag: float = 0.0
    number: int = 0
    begun: bool = False

    def __post_init__(self) -> None:
        self.answers, self.left = [None] * len(self.rows), len(self.rows)

    @property
    def order(self) -> tuple[int, float, int]:
        """Where it stands: the least is computed first."""
        return self.priority, self.tag, self.number


@dataclass(eq=False, slots=True)
class Work:
    """Rows of one request that have come to the same step."""

    request: Request
    held: Any
    """What the model made of them so far."""
    places: Sequence[int]
    """Where they stand in the request."""
    sizes: Sequence[int]
    """Tokens of each; 1 where there are none."""
    step: int = 0
    taken: int = 0
    """How many of them have gone into batches."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a work that go into one batch: from `start` to `stop` of its places."""

    work: Work
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def tokens(self) -> int:
        return sum(self.work.sizes[self.start : self.stop])


class Pace:
    """How long a row takes at each step, and how many go on from it, from the batches so far."""

    def __init__(self, steps: int) -> None:
        self.seconds: list[float | None] = [None] * steps
        """Of a token, or None before the first batch."""
        self.tokens = [1.0] * steps
        """Of a row."""
        self.deferred = [0.0] * steps
        """Share of the rows that go on to the next step."""

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return any(seconds is not None for seconds in self.seconds)

    def note(self, step: int, rows: int, tokens: int, seconds: float, deferred: int) -> None:
        """Take a batch into account."""
        new = 1.0 if self.seconds[step] is None else _NEW
        self.seconds[step] = (1 - new) * (self.seconds[step] or 0.0) + new * seconds / max(tokens, 1)
        self.tokens[step] += new * (tokens / rows - self.tokens[step])
        self.deferred[step] += new * (deferred / rows - self.deferred[step])

    def of_rows(self, step: int, rows: float, tokens: float | None = None) -> float:
        """Return the seconds that `rows` take from `step` to the end; those that are not known count nothing."""
        total = 0.0
        for i in range(step, len(self.seconds)):
            total += (self.tokens[i] * rows if tokens is None else tokens) * (self.seconds[i] or 0.0)
            rows, tokens = rows * self.deferred[i], None
        return total


class Line:
    """What waits, in the order in which it will be computed. Not thread-safe: its owner holds a lock."""

    def __init__(self, steps: int, max_rows: int, max_tokens: int, max_wait_s: float) -> None:
        self._max_rows, self._max_tokens, self._max_wait_s = max_rows, max_tokens, max_wait_s
        self._heaps: list[list[tuple[tuple[int, float, int], int, Work]]] = [[] for _ in range(steps)]
        self._numbers, self._tags, self._served = itertools.count(), dict[str, float](), 0.0
        self._requests: dict[Request, int] = {}
        """Rows of each that wait."""
        self._held = Counter[tuple[int, str]]()
        """The same, of each priority and tenant."""
        self._ends: list[tuple[int, float, int, Request]] = []
        """What has arrived, the last first; what has begun or left since is skipped when it is met."""
        self._company, self._ended_s, self._took_s = 1, -math.inf, 0.0
        self.rows = 0
        """Rows that have no answer yet, and are not being computed."""
        self.ready = 0
        """Those of them that `take` may return."""
        self.pace = Pace(steps)

    def place(self, request: Request) -> None:
        """Say where `request` would stand, were it to arrive now."""
        request.tag, request.number = max(self._served, self._tags.get(request.tenant, 0.0)), next(self._numbers)

    def arrive(self, request: Request) -> None:
        """Let `request`, which has its place, take it, before its rows are ready."""
        if len(self._tags) > _TENANTS:
            self._tags = {tenant: tag for tenant, tag in self._tags.items() if tag > self._served}
        self._tags[request.tenant] = request.tag + max(self.pace.of_rows(0, len(request.rows)), _LEAST * len(request.rows))
        priority, tag, number = request.order
        heapq.heappush(self._ends, (-priority, -tag, -number, request))
        self.back(request, len(request.rows))

    def add(self, work: Work) -> None:
        """Let the rows of `work`, which has arrived and is ready, be computed at its step."""
        self.ready += len(work.places)
        heap = self._heaps[work.step]
        if len(heap) > _STALE and len(heap) > 4 * len(self._requests):  # what has left stands at the end, which may never be reached
            self.ready -= sum(len(left.places) - left.taken for _, _, left in heap if left.request not in self._requests)
            heap[:] = [entry for entry in heap if entry[2].request in self._requests]
            heapq.heapify(heap)
        heapq.heappush(heap, (work.request.order, next(self._numbers), work))

    def back(self, request: Request, rows: int) -> None:
        """Count `rows` of `request` as waiting, the first time or again: they go on to another step."""
        self._requests[request] = self._requests.get(request, 0) + rows
        self._held[request.priority, request.tenant] += rows
        self.rows += rows

    def leave(self, request: Request) -> None:
        """Forget what waits of `request`: it failed, was refused or was cancelled."""
        self._count_out(request, self._requests.get(request, 0))
        self._requests.pop(request, None)
        if not self._requests:
            self._tags.clear()  # all begin alike again

    def ahead_s(self, request: Request) -> float:
        """Return about how long it takes until `request` is answered, were it to arrive now: with all of no less priority, but no more of other
        tenants each than its own, as they share alike. 0 where nothing stands before it: an idle server finds out.
        """
        held = Counter[str]()
        for (priority, tenant), rows in self._held.items():
            if priority <= request.priority:
                held[tenant] += rows
        own = held.pop(request.tenant, 0)
        before = own + sum(min(rows, own + len(request.rows)) for rows in held.values())
        return self.pace.of_rows(0, len(request.rows) + before) if before else 0.0

    def last(self) -> Request | None:
        """Return what stands last of all that has not begun."""
        while self._ends and (self._ends[0][3].begun or self._ends[0][3] not in self._requests):
            heapq.heappop(self._ends)
        return self._ends[0][3] if self._ends else None

    @property
    def tenants(self) -> set[str]:
        """Who waits."""
        return {tenant for _, tenant in self._held}

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until the next batch should go: 0 for now, None while nothing is ready.

        Several requests in the last batch mean clients that are about to ask again: worth waiting for as many, right after it, and for no
        longer than it took to compute. So a lone request on an idle server goes at once, and what has begun never waits.
        """
        first, *later = self._heaps
        if any(later) or (first and first[0][2].request.begun):
            return 0.0
        if not first:
            return None
        if len(first) >= self._company or self.rows >= self._max_rows:
            return 0.0
        return max(0.0, self._ended_s + min(self._max_wait_s, self._took_s) - now_s)

    def take(self, now_s: float) -> tuple[list[Part], list[Request]]:
        """Return the parts of the next batch, all of one step, and the requests whose time is up; the cancelled are skipped.

        A batch has one row at least, and is else within the limits of rows and tokens; a work larger than that is split.
        """
        parts: list[Part] = []
        late: list[Request] = []
        heap = next((heap for heap in self._heaps if heap), [])
        rows, tokens = self._max_rows, self._max_tokens
        while heap and rows and (tokens > 0 or not parts):
            work = heap[0][2]
            request = work.request
            if request not in self._requests or self._given_up(request, now_s, late):
                heapq.heappop(heap)
                self.ready -= len(work.places) - work.taken
                continue
            start, stop = work.taken, work.taken
            while stop < len(work.places) and rows and (work.sizes[stop] <= tokens or not (parts or stop > start)):
                tokens, rows, stop = tokens - work.sizes[stop], rows - 1, stop + 1
            if stop == start:
                break
            parts.append(Part(work, start, stop))
            work.taken, self._served = stop, max(self._served, request.tag)
            self._count_out(request, stop - start)
            self.ready -= stop - start
            if stop == len(work.places):
                heapq.heappop(heap)
        return parts, late

    def ended(self, parts: Sequence[Part], now_s: float, took_s: float, deferred: int) -> None:
        """Note that a batch was computed, and how many of its rows go on."""
        if not parts:
            return
        step = parts[0].work.step
        if step == 0:
            self._company, self._ended_s, self._took_s = len(parts), now_s, took_s
        self.pace.note(step, sum(part.rows for part in parts), sum(part.tokens for part in parts), took_s, deferred)

    def _given_up(self, request: Request, now_s: float, late: list[Request]) -> bool:
        """Return whether nobody waits for `request` any more; from here on it cannot be cancelled."""
        if request.begun:
            gone = request.future.done()
        else:
            request.begun, gone = True, not request.future.set_running_or_notify_cancel()
            if not gone and request.deadline_s <= now_s:
                late.append(request)
                gone = True
        if gone:
            self.leave(request)
        return gone

    def _count_out(self, request: Request, rows: int) -> None:
        self.rows -= rows
        if rows:
            self._requests[request] -= rows
            self._held[request.priority, request.tenant] -= rows
            if not self._held[request.priority, request.tenant]:
                del self._held[request.priority, request.tenant]
