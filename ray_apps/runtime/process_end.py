"""The end of a program that has native threads of Ray, Arrow and Delta in it.

They are still there when Python takes its modules down, and now and then the process crashes in the
middle of that, long after its work is done: a clean stop then looks like a failure to whoever
started it.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import NoReturn


def run_to_the_end(program: Callable[[], object]) -> NoReturn:
    """Run it, do all that Python does at its end but take itself down, and exit with its status."""
    status = _status_of(program)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status_of(program: Callable[[], object]) -> int:
    try:
        program()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - shown as Python would
        sys.excepthook(*sys.exc_info())
        return 1
    return 0
