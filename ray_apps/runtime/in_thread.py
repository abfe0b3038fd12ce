"""Blocking work beside an event loop, for tasks whose clients are closed after them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

Args = ParamSpec("Args")
Result = TypeVar("Result")


async def in_thread(
    function: Callable[Args, Result], *args: Args.args, **kwargs: Args.kwargs
) -> Result:
    """Call a blocking function in a thread, and never leave while it runs.

    `asyncio.to_thread` lets a cancelled caller go at once and the thread goes on, with clients that
    the caller's owner is about to close. Here the cancellation waits for the thread.
    """
    running = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        with suppress(Exception):
            await running
        raise
