"""Keeps third parties' chatter off the console of somebody who asked a question.

Ray's and Feast's warnings to *their* developers (deprecations inside their own code, notes on plans
of execution) say nothing a user of reaseq can act on. Errors stay; Ray's own log files keep all.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TextIO

OURS = ("reaseq", "streams", "ray_apps", "feature_repo")


def quiet_third_parties() -> None:
    """Call once, before Ray is imported."""
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    # Filters do not last: Feast sets its own when imported.
    warnings.showwarning = _show_only_ours
    for name in ("ray", "ray.train", "ray.serve", "kafka", "feast", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)


def native_output_to(file: Path) -> None:
    """Send what compiled code prints to stderr into a file; Python's stderr stays where it is.

    The file of the first call holds for the whole process.
    """
    if mute.has_file:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with file.open("ab") as target:
        os.dup2(target.fileno(), 2)
    mute.has_file = True


class OutputMute:
    """Sends Python's output where compiled code's errors go, while Ray is taken down.

    Ray reports every actor it was told to end as one that failed, some of it at the very end of the
    program: muted when the first part goes, heard again only for an error of ours.
    """

    def __init__(self) -> None:
        self.has_file = False
        self._heard: tuple[TextIO, TextIO] | None = None

    def begin(self) -> None:
        """Mute; again is harmless. Nothing happens where `native_output_to` chose no file."""
        if self._heard is None and self.has_file:
            self._heard = sys.stdout, sys.stderr
            sys.stdout = sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)

    def end(self) -> None:
        """Let output be heard again."""
        if self._heard is not None:
            (sys.stdout, sys.stderr), self._heard = self._heard, None


mute = OutputMute()


def _show_only_ours(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    package = Path(__file__).parents[2]
    if any(str(package / name) in filename for name in OURS):
        sys.stderr.write(f"warning: {message}\n")
