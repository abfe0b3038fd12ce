"""One way to do something again and again: wait, back off while it fails, stop when asked."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable

from ray_apps.runtime.in_thread import in_thread

Step = Callable[[], object]
"""A plain function, which runs in a thread, or a coroutine function."""

OnError = Callable[[Exception], None]


class Backoff:
    """How long to wait after one failure and after the next.

    The n-th wait is `min(first_s * 2**n, max_s)`, shortened at random by up to half, so that those
    who failed together do not come back together.
    """

    def __init__(
        self, first_s: float, max_s: float, *, jitter: Callable[[], float] = random.random
    ) -> None:
        """`jitter` draws from 0 to 1; at 1 nothing is taken off."""
        self._first_s = min(first_s, max_s)
        self._max_s = max_s
        self._jitter = jitter
        self._wait_s = self._first_s

    def next_s(self) -> float:
        """The wait after one more failure."""
        wait_s = self._wait_s
        self._wait_s = min(2 * wait_s, self._max_s)
        return wait_s * (1 + self._jitter()) / 2

    def reset(self) -> None:
        """It worked: the next failure is a first one."""
        self._wait_s = self._first_s


def never() -> bool:
    """The end of what has none."""
    return False


async def run_periodically(
    step: Step,
    interval_s: float,
    *,
    max_backoff_s: float,
    on_error: OnError,
    until: Callable[[], bool] = never,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Run `step`, wait `interval_s`, and so on, `until` that holds after a step.

    A step that fails is given to `on_error` and run again after a `Backoff` that begins with
    `interval_s`. Cancel the task to end it; a step in a thread is waited for.
    """
    backoff = Backoff(interval_s, max_backoff_s, jitter=jitter)
    while True:
        try:
            await _run(step)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next try may work
            on_error(error)
            await sleep(backoff.next_s())
            continue
        if until():
            return
        backoff.reset()
        await sleep(interval_s)


async def _run(step: Step) -> None:
    if not inspect.iscoroutinefunction(step):
        await in_thread(step)
        return
    await step()


class Periodic:
    """A step that runs periodically in the background of the running event loop, until closed."""

    def __init__(
        self,
        step: Step,
        interval_s: float,
        *,
        max_backoff_s: float,
        on_error: OnError,
        until: Callable[[], bool] = never,
    ) -> None:
        """See `run_periodically`."""
        running = run_periodically(
            step, interval_s, max_backoff_s=max_backoff_s, on_error=on_error, until=until
        )
        self._task = asyncio.get_running_loop().create_task(running)

    async def close(self) -> None:
        """Return when no step runs and none will; twice does no harm."""
        self._task.cancel()
        await asyncio.wait([self._task])
