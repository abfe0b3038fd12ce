"""Loops over arrays, compiled by numba; the machine code is kept beside the source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers at its first call in each process that lacks it."""
    return cast(Loop, numba.njit(cache=True)(loop))
