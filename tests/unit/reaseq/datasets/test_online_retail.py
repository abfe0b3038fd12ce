"""The bundled data set is what its description says, line for line."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow.compute as pc
import pytest

from reaseq.datasets.event_log import EventLog
from reaseq.datasets.online_retail import read_online_retail
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA


@pytest.fixture(scope="module")
def log() -> EventLog:
    return read_online_retail()


def test_every_line_is_counted_once(log: EventLog) -> None:
    """Purchases, returns and what is left out add up to the lines of the file."""
    types = {
        row["values"]: row["counts"] for row in log.events["event_type"].value_counts().to_pylist()
    }
    assert types == {"purchase": 397_924, "return": 8_905}
    assert log.left_out == {"without a customer": 135_080, "neither sale nor cancellation": 0}
    assert log.events.num_rows + sum(log.left_out.values()) == 541_909


def test_events_are_distinct_and_in_the_order_of_time(log: EventLog) -> None:
    """An invoice may name an item twice: two events, two ids."""
    assert log.events.schema == EVENT_SCHEMA
    assert pc.count_distinct(log.events["event_id"]).as_py() == log.events.num_rows
    assert bool(np.all(np.diff(np.asarray(log.events["event_time_ms"])) >= 0))
    first, last = pc.min_max(log.events["event_time_ms"]).as_py().values()
    assert first == 1_291_191_960_000  # 2010-12-01 08:26 UTC
    assert last == 1_323_435_000_000  # 2011-12-09 12:50 UTC


def test_ids_number_the_lines_of_an_invoice_that_name_one_code(log: EventLog) -> None:
    """Readable, and for ever the same: models and figures rest on them."""
    ids = log.events["event_id"].to_pylist()
    assert ids[:2] == ["536365/85123A#0", "536365/71053#0"]
    assert {"536381/71270#0", "536381/71270#1"} <= set(ids)
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    assert digest == "b93a9ee860f377421f7bf6410ae6271bbfbd381166c75b7378c1f0f323ca6e35"


def test_money_goes_one_way_for_a_purchase_and_back_for_a_return(log: EventLog) -> None:
    """The value is quantity times price; a return's is never positive."""
    returned = pc.equal(log.events["event_type"], "return")
    assert pc.max(log.events.filter(returned)["value"]).as_py() <= 0
    assert pc.min(log.events.filter(pc.invert(returned))["value"]).as_py() >= 0
    first = log.events.filter(pc.starts_with(log.events["event_id"], "536365/85123A#")).to_pylist()
    assert [(row["user_id"], row["value"]) for row in first] == [("17850", pytest.approx(15.3))]


def test_the_catalogue_holds_every_item_once_with_a_title(log: EventLog) -> None:
    """All stock codes, those nobody known has bought too."""
    assert log.items.schema == ITEM_SCHEMA
    assert log.items.num_rows == pc.count_distinct(log.items["item_id"]).as_py() == 4_070
    assert pc.all(pc.greater(pc.utf8_length(log.items["title"]), 0)).as_py()
    assert pc.all(pc.is_in(log.events["item_id"], log.items["item_id"].combine_chunks())).as_py()


def test_what_the_warehouse_noted_is_no_title(log: EventLog) -> None:
    """An item written off as "damaged" or "check" keeps the name under which it was sold."""
    titles = dict(zip(*(log.items[n].to_pylist() for n in ("item_id", "title")), strict=True))
    assert titles["22149"] == "FELTCRAFT 6 FLOWER FRIENDS"
    assert titles["22759"] == "SET OF 3 NOTEBOOKS IN PARCEL"
    notes = {"damaged", "damages", "check", "adjustment", "amazon", "?", "??"}
    assert notes.isdisjoint(title.lower() for title in titles.values())


def test_reading_again_gives_the_same(log: EventLog) -> None:
    """Ids and order do not depend on the reading, so a second replay is a replay."""
    again = read_online_retail()
    assert again.events.equals(log.events)
    assert again.items.equals(log.items)
