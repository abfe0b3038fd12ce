"""Imports Feast without what nobody here uses, so that every process of the system starts sooner.

Most of the time of `import feast` goes into two things: rewriting Feast's classes so that they
check argument types while they run, and loading torch for tensors as answers. Neither is needed to
read and write features. Feast provides for a missing torch itself; the checks come from typeguard's
decorator, which leaves classes alone under `python -O` too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import typeguard

T = TypeVar("T")


@contextmanager
def _light() -> Iterator[None]:
    checked = typeguard.typechecked
    typeguard.typechecked = _unchecked  # type: ignore[assignment]
    hide_torch = "torch" not in sys.modules
    if hide_torch:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        typeguard.typechecked = checked
        if hide_torch:
            del sys.modules["torch"]


def _unchecked(target: T) -> T:
    return target


with _light():
    import feast  # noqa: F401
