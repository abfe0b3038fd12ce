"""Compacts tables beside their writers, in the one process that owns them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from streams.offline.tables import OfflineTable

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
"""Between two looks: a table that is not due costs a read of its log's tail."""


class Compaction:
    """A thread that compacts what is due, until it is stopped."""

    def __init__(self, tables: Sequence[OfflineTable], interval_s: float = INTERVAL_S) -> None:
        self._tables = tables
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaseq-compaction", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No further table is begun; one that is being compacted is waited for."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            for table in self._tables:
                if not self._stopped.is_set():
                    self._compact(table)

    def _compact(self, table: OfflineTable) -> None:
        try:
            table.compact()
        except Exception as error:  # noqa: BLE001 - the next look may work
            logger.warning("compaction of %s: %s", table, error)
