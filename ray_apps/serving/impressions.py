"""What was shown, on its way to the log: written behind the answers, never in their way.

While the broker is away a bounded number waits; what comes on top is counted as lost and said so.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import NamedTuple

from streams.log.ports import LogWriter

logger = logging.getLogger("ray.serve")

MAX_WAITING = 10_000
MAX_AT_ONCE = 500

CLOSE_TIMEOUT_S = 5.0
"""For what still waits at the end; Serve gives a replica 20 s in all."""


class _Impression(NamedTuple):
    value: bytes
    key: bytes


class ImpressionLog:
    """Takes impressions at once and appends them from a thread of its own."""

    def __init__(self, writer: LogWriter, topic: str, max_waiting: int = MAX_WAITING) -> None:
        """Owns the writer and closes it."""
        self._writer = writer
        self._topic = topic
        self._waiting: queue.Queue[_Impression | None] = queue.Queue(max_waiting)
        """None is the last one."""
        self._is_over = False
        self._num_lost = 0
        self._thread = threading.Thread(target=self._write, name="impressions", daemon=True)
        self._thread.start()

    def put(self, impression: bytes, key: bytes) -> None:
        """Hand an impression over; returns at once."""
        try:
            self._waiting.put_nowait(_Impression(impression, key))
        except queue.Full:
            self._num_lost += 1

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Write what waits and close the writer; gives up, and says so, after `timeout_s`."""
        try:
            self._waiting.put(None, timeout=timeout_s)
            self._thread.join(timeout_s)
        except queue.Full:
            pass
        if self._thread.is_alive():
            logger.warning("%d impressions were not logged: no broker", self._waiting.qsize())
            return
        self._writer.close()

    def _write(self) -> None:
        while not self._is_over:
            impressions = self._take()
            if impressions:
                self._append(impressions)

    def _take(self) -> list[_Impression]:
        """What waits, after waiting for the first one; ends at the last."""
        taken: list[_Impression] = []
        while len(taken) < MAX_AT_ONCE and not (taken and self._waiting.empty()):
            impression = self._waiting.get()
            if impression is None:
                self._is_over = True
                break
            taken.append(impression)
        return taken

    def _append(self, impressions: list[_Impression]) -> None:
        try:
            for impression in impressions:
                self._writer.send(self._topic, impression.value, impression.key)
            self._writer.flush()
        except Exception:
            logger.exception("of %d impressions some were not logged", len(impressions))
        if self._num_lost:
            logger.warning("%d impressions were not logged: too many wait", self._num_lost)
            self._num_lost = 0
