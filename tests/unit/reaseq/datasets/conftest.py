"""A file written and read in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest

from reaseq.datasets.mapping import ITEM_FIELDS, parse_mapping, parse_types
from reaseq.datasets.options import ReadOptions
from reaseq.datasets.reader import open_log
from reaseq.datasets.stored_log import StoredLog
from reaseq.datasets.times import TIME_MACRO
from reaseq.datasets.values import NUMBER_MACROS

HEADER = "user_id,item_id,event_time\n"

OpenText = Callable[..., StoredLog]


@pytest.fixture
def open_text(tmp_path: Path) -> Iterator[OpenText]:
    """Write a text (or bytes) to a file and open it with flags as they are typed."""
    with ExitStack() as stack:

        def open_one(
            content: str | bytes,
            mapping: str = "",
            types: str = "",
            *,
            name: str = "events.csv",
            items: str = "",
            map_items: str = "",
            **options: Any,
        ) -> StoredLog:
            file, item_file = tmp_path / name, tmp_path / "catalogue"
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            item_file.write_text(items)
            read = ReadOptions(
                mapping=parse_mapping(mapping),
                item_mapping=parse_mapping(map_items, ITEM_FIELDS, "--map-items"),
                types=parse_types(types),
                **options,
            )
            item_files = [str(item_file)] if items else []
            return stack.enter_context(open_log([str(file)], item_files, read))

        yield open_one


@pytest.fixture(scope="session")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that knows our macros."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(NUMBER_MACROS + TIME_MACRO)
        yield connection
