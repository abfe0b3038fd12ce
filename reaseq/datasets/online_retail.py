"""UCI Online Retail, the bundled data set: a year of a British gift shop's invoice lines.

D. Chen (2015), UCI Machine Learning Repository, doi 10.24432/C5BW33, CC BY 4.0; see NOTICE and
`online_retail.md` beside the file. 541,909 lines from 2010-12-01 to 2011-12-09.
"""

from __future__ import annotations

from collections import Counter
from importlib.resources import as_file, files

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reaseq.datasets.event_log import EventLog, items_of
from reaseq.events import EventType
from reaseq.schemas import EVENT_SCHEMA

SPLIT_MS = 1_320_105_600_000
"""2011-11-01: eleven months to learn from; the demo and the benchmarks evaluate on the rest."""


def read_online_retail() -> EventLog:
    """The whole data set as a log.

    An invoice line of a known customer is a `purchase`, a cancelled one (its invoice number starts
    with C) a `return`; `value` is quantity times price in pounds, negative for a return. Lines
    without a customer, and corrections that are neither, are left out and counted. The catalogue
    holds every stock code of the file, one that was never priced under its code.
    """
    with as_file(files("reaseq.datasets") / "online_retail.parquet") as file:
        lines = pq.read_table(file)
    lines = lines.append_column("event_time_ms", _times_ms(lines["InvoiceDate"]))
    lines = lines.sort_by([("event_time_ms", "ascending")])
    items = items_of(lines["StockCode"], _titles(lines), lines["UnitPrice"], lines["event_time_ms"])
    known = lines.filter(pc.is_valid(lines["CustomerID"]))
    cancelled = pc.starts_with(known["InvoiceNo"], "C")
    usable = known.filter(pc.or_(cancelled, pc.greater(known["Quantity"], 0)))
    left_out = {
        "without a customer": lines.num_rows - known.num_rows,
        "neither sale nor cancellation": known.num_rows - usable.num_rows,
    }
    return EventLog(_events(usable), items, left_out)


def _titles(lines: pa.Table) -> pa.ChunkedArray:
    """Descriptions of priced lines; on the others the warehouse noted "damaged", "check" or "?"."""
    nothing = pa.scalar(None, pa.string())
    titles: pa.ChunkedArray = pc.if_else(
        pc.greater(lines["UnitPrice"], 0), lines["Description"], nothing
    )
    return titles


def _events(lines: pa.Table) -> pa.Table:
    cancelled = pc.starts_with(lines["InvoiceNo"], "C")
    table = pa.table(
        {
            "user_id": lines["CustomerID"],
            "item_id": lines["StockCode"],
            "event_type": pc.if_else(cancelled, EventType.RETURN.value, EventType.PURCHASE.value),
            "event_time_ms": lines["event_time_ms"],
            "event_id": _line_ids(lines["InvoiceNo"], lines["StockCode"]),
            "value": pc.multiply(pc.cast(lines["Quantity"], pa.float64()), lines["UnitPrice"]),
        }
    )
    return table.select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA)


def _times_ms(dates: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps without a zone, taken as UTC, in milliseconds since 1970."""
    return pc.cast(pc.cast(dates, pa.timestamp("ms")), pa.int64())


def _line_ids(invoices: pa.ChunkedArray, stock_codes: pa.ChunkedArray) -> pa.Array:
    """Ids "invoice/code#n", numbered from 0 where an invoice names a code more than once.

    Neither holds a "/".
    """
    seen: Counter[str] = Counter()
    ids = []
    parts = (pc.cast(column, pa.string()) for column in (invoices, stock_codes))
    for name in pc.binary_join_element_wise(*parts, "/").to_pylist():
        ids.append(f"{name}#{seen[name]}")
        seen[name] += 1
    return pa.array(ids, pa.string())
