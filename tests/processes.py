"""The processes that a test has started, however many of them are ending at the moment."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import psutil

from tests.waiting import wait_until


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs. One that has ended is gone, though nobody has asked for its end yet."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether none of them lives any more."""
    return not any(is_alive(process) for process in processes)


def descendants(of: psutil.Process | None = None) -> list[psutil.Process]:
    """The living processes below one, or below this one."""
    family = (of or psutil.Process()).children(recursive=True)
    return [process for process in family if is_alive(process)]


def titled(title: str) -> list[psutil.Process]:
    """The living processes below this one with these words in their command line."""
    return [process for process in descendants() if title in _command_line(process)]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended since it was listed; a zombie has no command line
        return ""


def kill(process: psutil.Process) -> None:
    """As the kernel would when memory runs out."""
    process.kill()
    wait_until(lambda: gone([process]))


def on_pipes(stack: ExitStack, command: list[str], **options: Any) -> subprocess.Popen[str]:
    """A program that one talks to; neither it nor its pipes outlive the stack."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = stack.enter_context(subprocess.Popen(command, **{**pipes, **options}))
    stack.callback(process.kill)
    return process
