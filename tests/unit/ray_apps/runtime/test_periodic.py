"""`ray_apps.runtime.periodic` on a clock that never sleeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from ray_apps.runtime.periodic import Backoff, Periodic, run_periodically


class Waits:
    """Stands in for sleep: notes each wait, and cancels after `most` of them."""

    def __init__(self, most: int) -> None:
        self.waits_s: list[float] = []
        self._most = most

    async def __call__(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)
        if len(self.waits_s) == self._most:
            raise asyncio.CancelledError


class Scripted:
    """A step that fails where the script says so; `thread` is where it last ran."""

    def __init__(self, *fails: bool) -> None:
        self._fails = iter(fails)
        self.num_calls = 0
        self.thread: threading.Thread | None = None

    def __call__(self) -> None:
        self.num_calls += 1
        self.thread = threading.current_thread()
        if next(self._fails, False):
            raise ValueError(f"call {self.num_calls}")


def waits_of(step: Callable[[], object], num: int) -> tuple[list[float], list[str]]:
    """The first `num` waits with an interval of 1 s and at most 8 s, and the errors on the way."""
    waits, errors = Waits(num), []
    running = run_periodically(
        step,
        1.0,
        max_backoff_s=8.0,
        on_error=lambda error: errors.append(str(error)),
        sleep=waits,
        jitter=lambda: 1.0,
    )
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(running)
    return waits.waits_s, errors


def test_a_step_that_works_runs_at_the_interval() -> None:
    """Once before each wait."""
    step = Scripted()
    assert waits_of(step, 3) == ([1.0, 1.0, 1.0], [])
    assert step.num_calls == 3


def test_a_step_that_fails_backs_off_and_a_success_resets_it() -> None:
    """Doubling up to the most; after a success the next failure is a first one."""
    step = Scripted(True, True, True, True, True, False, True)
    waits, errors = waits_of(step, 7)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 1.0, 1.0]
    assert errors == [f"call {n}" for n in (1, 2, 3, 4, 5, 7)]


def test_a_plain_step_runs_in_a_thread_and_a_coroutine_on_the_loop() -> None:
    """A blocking step holds up nothing else on the loop."""
    step = Scripted()
    waits_of(step, 1)
    assert step.thread is not threading.main_thread()
    on_the_loop: list[threading.Thread] = []

    async def coroutine() -> None:
        on_the_loop.append(threading.current_thread())

    waits_of(coroutine, 1)
    assert on_the_loop == [threading.main_thread()]


def test_it_ends_when_done_and_not_before_a_success() -> None:
    """Loading a model: failures are retried, the first success is the last step."""
    step, waits = Scripted(True, True), Waits(99)
    running = run_periodically(
        step,
        1.0,
        max_backoff_s=8.0,
        on_error=lambda error: None,
        until=lambda: True,
        sleep=waits,
        jitter=lambda: 1.0,
    )
    asyncio.run(running)
    assert step.num_calls == 3
    assert waits.waits_s == [1.0, 2.0]


def test_jitter_takes_off_up_to_half() -> None:
    """At 0 half is left, at 1 all of it; the growth does not depend on it."""
    draws = iter([0.0, 1.0, 0.5])
    backoff = Backoff(2.0, 100.0, jitter=lambda: next(draws))
    assert [backoff.next_s() for _ in range(3)] == [1.0, 4.0, 6.0]


def test_a_first_wait_is_never_above_the_most() -> None:
    """An interval longer than the most is cut."""
    assert Backoff(10.0, 3.0, jitter=lambda: 1.0).next_s() == 3.0


def test_closing_waits_for_a_step_that_is_in_a_thread() -> None:
    """Whatever the step uses may be closed afterwards."""
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def step() -> None:
        begun.set()
        assert may_end.wait(10)
        ended.set()

    async def story() -> bool:
        background = Periodic(step, 60.0, max_backoff_s=60.0, on_error=lambda error: None)
        await asyncio.to_thread(begun.wait, 10)
        closing = asyncio.create_task(background.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        may_end.set()
        await closing
        await background.close()
        return ended.is_set()

    assert asyncio.run(story())
