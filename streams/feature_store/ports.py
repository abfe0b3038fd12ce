"""The feature store as those see it who read and write features: one port for every view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from reaseq.feature_views import ViewSpec
from streams.offline.tables import Commit


class FeatureTables(Protocol):
    """Rows of feature views; `Features` in production, `MemoryFeatures` in tests.

    Offline are the views whose past is kept; of one that is computed only the online rows are here.
    """

    def read(self, view: ViewSpec, ids: Sequence[str]) -> pa.Table:
        """The rows of those users or items that have one online, each once."""

    def known(self, view: ViewSpec, ids: Sequence[str]) -> list[str]:
        """Those users or items that have a row online, each once, in the order asked.

        Far cheaper than reading the rows, for those who ask for many that have none.
        """

    def write(self, view: ViewSpec, rows: pa.Table) -> int:
        """Make rows readable online; an older version never replaces a newer one.

        Returns how many were accepted. Raises ValueError for a column missing or mistyped.
        """

    def delete(self, view: ViewSpec, ids: Sequence[str], until_ms: int) -> int:
        """Remove the online rows of these users or items whose time is at most `until_ms`.

        Returns how many there were. What is written meanwhile with a later time stays.
        """

    def sync(self) -> None:
        """Return when what was written online before outlives a power cut.

        For who keeps elsewhere that it was written: sync first, then say so. What Redis keeps is
        for its own settings to say.
        """

    def append(self, view: ViewSpec, rows: pa.Table, commit: Commit) -> None:
        """Add versions of rows offline; a commit that was made before adds nothing."""

    def newest(self, view: ViewSpec) -> pa.Table:
        """The newest offline row of each key, by key."""

    def keys(self, view: ViewSpec) -> list[str]:
        """Every user or item that has an offline row, in order."""

    def rows_before(self, view: ViewSpec, labels: pa.Table) -> pa.Table:
        """The row of a user's view for each order, known strictly before the order's time."""
