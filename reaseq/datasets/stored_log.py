"""A log in a DuckDB database: looked at, reported on, and handed over a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape

import duckdb
import pyarrow as pa

from reaseq.datasets import findings
from reaseq.datasets.event_log import BATCH_ROWS, EventLog
from reaseq.datasets.report import Preview, ReadReport
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA

NUM_EXAMPLES = 3


@dataclass(frozen=True)
class StoredLog:
    """The tables `log_events`, `log_items`, `checked` and `catalogue` of a connection.

    Usable until `reaseq.datasets.reader.open_log` ends.
    """

    con: duckdb.DuckDBPyConnection
    taken: Mapping[str, str]
    taken_for_items: Mapping[str, str]
    notes: tuple[str, ...]
    has_ids: bool

    @property
    def num_events(self) -> int:
        """Events of the whole log."""
        return findings.count_of(self.con, "log_events")

    @property
    def num_items(self) -> int:
        """Items of the whole log."""
        return findings.count_of(self.con, "log_items")

    def preview(self) -> Preview:
        """What was taken for what, with the first three events."""
        first = self.con.execute(
            f"SELECT {', '.join(EVENT_SCHEMA.names)} FROM log_events "
            f"ORDER BY event_time_ms, place LIMIT {NUM_EXAMPLES}"
        ).fetchall()
        examples = tuple(dict(zip(EVENT_SCHEMA.names, row, strict=True)) for row in first)
        return Preview(self.taken, self.taken_for_items, examples, self.num_events, self.num_items)

    def report(self) -> ReadReport:
        """What was left out and what looks odd, counted over the whole log."""
        return ReadReport(
            (*findings.rejected_lines(self.con), *findings.left_out_rows(self.con)),
            findings.unreadable_values(self.con),
            (
                *self.notes,
                *(findings.shared_ids(self.con) if self.has_ids else ()),
                *findings.unlikely_users(self.con),
                *findings.float_ids(self.con),
            ),
        )

    def batches(
        self,
        start_ms: int | None = None,
        end_ms: int | None = None,
        num_users: int | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.Table]:
        """Events (EVENT_SCHEMA) by time, with `start_ms <= event_time_ms < end_ms`.

        `num_users`: only those of that many users with most events. Ties in time keep the order of
        the file.
        """
        conditions = ["true"]
        if start_ms is not None:
            conditions.append(f"event_time_ms >= {start_ms}")
        if end_ms is not None:
            conditions.append(f"event_time_ms < {end_ms}")
        if num_users is not None:
            conditions.append(
                "user_id IN (SELECT user_id FROM log_events GROUP BY user_id "
                f"ORDER BY count(*) DESC, user_id LIMIT {num_users})"
            )
        yield from self._query(
            f"SELECT {', '.join(EVENT_SCHEMA.names)} FROM log_events "
            f"WHERE {' AND '.join(conditions)} ORDER BY event_time_ms, place",
            EVENT_SCHEMA,
            batch_rows,
        )

    def item_batches(self, batch_rows: int = BATCH_ROWS) -> Iterator[pa.Table]:
        """Items (ITEM_SCHEMA) by id, HTML entities in their texts resolved."""
        query = f"SELECT {', '.join(ITEM_SCHEMA.names)} FROM log_items ORDER BY item_id"
        for batch in self._query(query, ITEM_SCHEMA, batch_rows):
            for name in ("title", "description"):
                place = batch.schema.get_field_index(name)
                batch = batch.set_column(place, ITEM_SCHEMA.field(name), _unescaped(batch[name]))
            yield batch

    def read(self) -> EventLog:
        """The whole log in memory, for the demo and for logs that fit."""
        report = self.report()
        return EventLog(
            pa.concat_tables([EVENT_SCHEMA.empty_table(), *self.batches()]),
            pa.concat_tables([ITEM_SCHEMA.empty_table(), *self.item_batches()]),
            {one.reason: one.count for one in report.left_out},
        )

    def _query(self, sql: str, schema: pa.Schema, batch_rows: int) -> Iterator[pa.Table]:
        cursor = self.con.cursor()
        try:
            for batch in cursor.sql(sql).to_arrow_reader(batch_rows):
                yield pa.Table.from_batches([batch]).cast(schema)
        finally:
            cursor.close()


def _unescaped(texts: pa.ChunkedArray) -> pa.Array:
    return pa.array([text and unescape(text) for text in texts.to_pylist()], pa.string())
