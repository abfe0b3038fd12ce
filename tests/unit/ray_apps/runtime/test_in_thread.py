"""`ray_apps.runtime.in_thread`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ray_apps.runtime.in_thread import in_thread


def test_it_gives_what_the_function_gives_and_raises() -> None:
    """From another thread."""
    assert asyncio.run(in_thread(threading.current_thread)) is not threading.main_thread()
    assert asyncio.run(in_thread(int, "11", base=2)) == 3
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(in_thread(int, "x"))


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancellation_waits_for_the_thread(fails: bool) -> None:
    """Nobody closes what a thread still uses; an error of the thread does not hide the end."""
    may_end, ended = threading.Event(), threading.Event()

    def work() -> None:
        assert may_end.wait(10)
        ended.set()
        if fails:
            raise ValueError("late")

    async def story() -> None:
        task = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(story())
