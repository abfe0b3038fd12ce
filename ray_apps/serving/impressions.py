"""What was shown, on its way to the log: written behind the answers, never in their way.

While the broker is away a bounded number waits; what comes on top is counted as lost and said so.
"""

from __future__ import annotations

import logging
import queue
import threading

from streams.log.ports import LogWriter

logger = logging.getLogger("ray.serve")

MAX_WAITING = 10_000
MAX_AT_ONCE = 500


class ImpressionLog:
    """Takes impressions at once and appends them from a thread of its own."""

    def __init__(self, writer: LogWriter, topic: str, max_waiting: int = MAX_WAITING) -> None:
        self._writer = writer
        self._topic = topic
        self._waiting: queue.Queue[tuple[bytes, bytes]] = queue.Queue(max_waiting)
        self._num_lost = 0
        threading.Thread(target=self._write, name="impressions", daemon=True).start()

    def put(self, impression: bytes, key: bytes) -> None:
        """Hand an impression over; returns at once."""
        try:
            self._waiting.put_nowait((impression, key))
        except queue.Full:
            self._num_lost += 1

    def _write(self) -> None:
        while True:
            several = [self._waiting.get()]
            while len(several) < MAX_AT_ONCE and not self._waiting.empty():
                several.append(self._waiting.get())
            try:
                for impression, key in several:
                    self._writer.send(self._topic, impression, key)
                self._writer.flush()
            except Exception:
                logger.exception("of %d impressions some were not logged", len(several))
            if self._num_lost:
                logger.warning("%d impressions were not logged: too many wait", self._num_lost)
                self._num_lost = 0
