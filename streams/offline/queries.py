"""DuckDB for one question: bounded memory, and a folder to spill to that goes with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import duckdb
import pyarrow as pa

ROWS_A_BATCH = 50_000
"""Rows handed to Arrow at once: 100-long lists of strings stay far below Arrow's 2 GiB."""


class QueryLimits(NamedTuple):
    """What a query may take. Beyond `max_memory` it goes on in temporary files."""

    max_memory: str = "2GB"
    num_threads: int = 1


LIMITS = QueryLimits()
"""By default: what a laptop can spare beside the rest."""


@contextmanager
def query_engine(limits: QueryLimits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own while inside."""
    with tempfile.TemporaryDirectory(prefix="reaseq-query-") as spill:
        with duckdb.connect(
            config={
                "memory_limit": limits.max_memory,
                "threads": limits.num_threads,
                "temp_directory": spill,
            }
        ) as connection:
            yield connection


def answer(engine: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema) -> pa.Table:
    """All rows of a query, cast to `schema`."""
    with engine.sql(query).to_arrow_reader(ROWS_A_BATCH) as batches:
        return pa.Table.from_batches(batches, batches.schema).cast(schema)


def names(columns: list[str], table: str) -> str:
    """Columns of a table as SQL lists them: a name may be a word of SQL, as "when" is."""
    return ", ".join(f'{table}."{column}"' for column in columns)
