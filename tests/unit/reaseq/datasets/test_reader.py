"""A user's own file becomes events and items, whatever its rows hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reaseq.datasets.errors import FileError
from reaseq.datasets.options import ReadOptions
from reaseq.datasets.reader import open_log
from reaseq.datasets.stored_log import StoredLog
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA

OpenText = Callable[..., StoredLog]

HEADER = "user_id,item_id,event_time\n"
TYPED = "user_id,item_id,event_time,event_type\n"
TIME = "1291191960"
ID_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def test_a_file_with_names_of_its_own_is_mapped(open_text: OpenText) -> None:
    """Every field by its column's name; other columns are nobody's business."""
    log = open_text(
        "customer,sku,when,what,paid,id,name,each,note\n"
        '17850,85123A,2010-12-01T08:26:00,Bought,15.3,n1,White &amp; red heart,"1,049.00",x\n'
        "13047,84879,2010-12-01 08:34,view,,n2,,,y\n",
        "user_id=customer,item_id=sku,event_time=when,event_type=what,value=paid,event_id=id,"
        "title=name,price=each",
        "bought=purchase",
    ).read()
    assert log.events.schema == EVENT_SCHEMA
    assert [tuple(row.values()) for row in log.events.to_pylist()] == [
        ("n1", "17850", "85123A", "purchase", 1_291_191_960_000, 15.3),
        ("n2", "13047", "84879", "view", 1_291_192_440_000, None),
    ]
    assert log.items.schema == ITEM_SCHEMA
    assert [(i["item_id"], i["title"], i["price"]) for i in log.items.to_pylist()] == [
        ("84879", "84879", None),
        ("85123A", "White & red heart", 1049.0),
    ]
    assert log.left_out == {}


def test_a_field_may_be_sql_on_the_columns(open_text: OpenText) -> None:
    """Calculated values, ids from either of two columns, a constant type."""
    events = (
        open_text(
            'user,anonymous,sku,event_time,n,each\n,x1,mug,2020-01-01,2,"12,50"\n',
            "user_id=coalesce(user, anonymous),item_id=sku,event_type='view',"
            "value=number(n) * number(each)",
        )
        .read()
        .events.to_pylist()
    )
    assert [(e["user_id"], e["event_type"], e["value"]) for e in events] == [("x1", "view", 25.0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f",mug,{TIME},view,e", "without a usable user_id"),
        (f"NULL,mug,{TIME},view,e", "without a usable user_id"),
        (f"None,mug,{TIME},view,e", "without a usable user_id"),
        (f"ann,undefined,{TIME},view,e", "without a usable item_id"),
        ("ann,mug,,view,e", "without a usable event_time"),
        ("ann,mug,yesterday,view,e", "event_time is not a time between 1970 and 2100"),
        (f"ann,mug,{TIME},,e", "without an event_type"),
        (f"ann,mug,{TIME},view,", "without a usable event_id"),
        (f"{'x' * 257},mug,{TIME},view,e", "user_id of more than 256 characters"),
        (f"ann,mug,{TIME},Search,e", "event type search (--types)"),
        (f"eve,mug,{TIME},view,e", "not wanted (--where)"),
        (",,,,", "empty or broken row"),
        ("ann,mug", "broken line (missing columns)"),
        (f"ann,mug,{TIME},view,e,more", "broken line (too many columns)"),
        (f'ann,"mu"g,{TIME},view,e', "broken line (unquoted value)"),
    ],
)
def test_a_row_that_is_no_event_is_left_out_and_counted_with_an_example(
    open_text: OpenText, row: str, reason: str
) -> None:
    """Between good rows, each kind of incomplete one is counted by what it lacks."""
    good = f"bob,mug,{TIME},view,{{}}\n"
    header = "user_id,item_id,event_time,event_type,event_id\n"
    log = open_text(
        header + good.format("g1") + row + "\n" + good.format("g2"),
        types="search=",
        where="user_id <> 'eve' OR user_id IS NULL",
    )
    assert log.read().events["event_id"].to_pylist() == ["g1", "g2"]
    (left_out,) = log.report().left_out
    assert (left_out.reason, left_out.count) == (reason, 1)
    shown = [cell for cell in row.split(",") if cell in ("yesterday", "Search", "mug")]
    if "where" not in reason:
        assert all(cell in left_out.example for cell in shown)


def test_a_bad_value_is_missing_and_its_row_stays(open_text: OpenText) -> None:
    """An optional number never costs an event, let alone a file."""
    log = open_text(
        f"user_id,item_id,event_time,value,cost\na,i,{TIME},gift,free\na,j,{TIME},£3,4\n",
        "price=cost",
    )
    assert log.read().events["value"].to_pylist() == [None, 3.0]
    assert log.read().items["price"].to_pylist() == [None, 4.0]
    found = [(one.reason, one.count, one.example) for one in log.report().without_value]
    assert found == [("value is not a number", 1, "gift"), ("price is not a number", 1, "free")]


def test_rows_come_by_time_and_ties_in_the_order_of_the_file(open_text: OpenText) -> None:
    """Without a type every row is a purchase."""
    days = (3, 1, 2, 1)
    log = open_text(HEADER + "".join(f"a,i{n},2020-01-0{d}\n" for n, d in enumerate(days)))
    events = log.read().events
    assert events["item_id"].to_pylist() == ["i1", "i3", "i2", "i0"]
    assert set(events["event_type"].to_pylist()) == {"purchase"}


@given(rows=st.lists(st.tuples(st.sampled_from("ab/"), st.sampled_from(["1", "1/b", "b"]))))
@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_made_ids_are_distinct_and_the_same_when_the_file_has_grown(
    open_text: OpenText, rows: list[tuple[str, str]]
) -> None:
    """Rows alike are told apart by number, and "ann/1" "mug" is not "ann" "1/mug"."""
    lines = [f"{user},{item},{TIME}\n" for user, item in rows]
    whole = open_text(HEADER + "".join(lines)).read().events["event_id"].to_pylist()
    half = open_text(HEADER + "".join(lines[: len(lines) // 2])).read().events
    assert len(set(whole)) == len(rows)
    assert half["event_id"].to_pylist() == whole[: len(lines) // 2]


def test_rows_alike_keep_their_values_when_read_again(open_text: OpenText) -> None:
    """The number of a row is its place in the file, so its value stays with its id."""
    text = "user_id,item_id,event_time,value\n" + "".join(
        f"ann,mug,{TIME},{value}\n" for value in (3, 1, 2)
    )
    read = [open_text(text).read().events.to_pylist() for _ in range(2)]
    assert read[0] == read[1]
    assert [(row["event_id"][-2:], row["value"]) for row in read[0]] == [
        ("-0", 3.0),
        ("-1", 1.0),
        ("-2", 2.0),
    ]


@given(user=ID_TEXTS)
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_id_survives_a_csv_file(open_text: OpenText, user: str) -> None:
    """Quotes, line breaks, separators, zeros: what a CSV writer quotes is read as it was."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(
        [["user_id", "item_id", "event_time"], [f"u{user}", "0123", "2020-01-01"]]
    )
    events = open_text(out.getvalue(), columns=(), separator=",").read().events.to_pylist()
    assert [(e["user_id"], e["item_id"]) for e in events] == [(f"u{user}", "0123")]


def test_numbers_that_went_through_pandas(open_text: OpenText) -> None:
    """Parquet floats are the whole numbers they were; CSV text stays, and the report says so."""
    frame = pd.DataFrame({"user_id": [17850, None], "item_id": [2, 3], "event_time": 2 * [TIME]})
    log = open_text(frame.to_parquet(), name="frame.parquet")
    assert log.read().events["user_id"].to_pylist() == ["17850"]
    text = open_text(frame.to_csv(index=False), name="frame.csv")
    assert text.read().events["user_id"].to_pylist() == ["17850.0"]
    (note,) = text.report().notes
    assert "every user_id ends in '.0'" in note


def test_types_pass_in_any_case_and_unknown_ones_are_all_named(open_text: OpenText) -> None:
    """The message is the flag that helps, for every unknown type at once."""
    text = f"{TYPED}a,i,{TIME},VIEW\na,i,{TIME},Add to cart\na,i,{TIME},Buy\na,i,{TIME},Buy\n"
    known = open_text(text, types="add to cart=cart,BUY=purchase,view=click").read()
    assert known.events["event_type"].to_pylist() == ["click", "cart", "purchase", "purchase"]
    with pytest.raises(FileError, match=r"'Buy' \(2 rows\), 'Add to cart' \(1 .*--types 'Buy='"):
        open_text(text)


def test_a_column_called_title_describes_the_item_only_where_it_is_said_so(
    open_text: OpenText,
) -> None:
    """It may be a review's; the report says how to take it."""
    text = f"user_id,item_id,event_time,title\na,i,{TIME},Never again\n"
    log = open_text(text)
    assert log.read().items["title"].to_pylist() == ["i"]
    assert log.report().notes == (
        "title of the events not taken: if of the item, add --map title=title",
    )
    assert open_text(text, "title=title").read().items["title"].to_pylist() == ["Never again"]


def test_items_of_a_file_join_those_of_the_events(open_text: OpenText) -> None:
    """The file wins, its last row where it repeats one; items nobody touched are there too."""
    log = open_text(
        f"user_id,item_id,event_time,name,cost\na,i,{TIME},Old,1\na,k,{TIME},Kettle,2\n",
        "title=name,price=cost",
        items="sku,title,text\ni,First,\ni,New &amp; red,Warm\nj,Jar,\n,Nothing,\n",
        map_items="item_id=sku,description=text",
    )
    items = [tuple(item.values()) for item in log.read().items.to_pylist()]
    first_ms = int(TIME) * 1000
    assert items == [
        ("i", "New & red", 1.0, "Warm", first_ms),
        ("j", "Jar", None, None, first_ms),
        ("k", "Kettle", 2.0, None, first_ms),
    ]


def test_sql_makes_the_rows_of_what_no_flag_can_say(open_text: OpenText) -> None:
    """The files are the table `events`; an order of several items becomes several events."""
    log = open_text(
        '{"userId": "u", "at": "2020-01-01", "items": [{"id": "007"}, {"id": "1.50"}]}\n',
        "user_id=userId,item_id=item.id,event_time=at",
        sql="SELECT *, unnest(items) AS item FROM events;",
    )
    assert log.read().events["item_id"].to_pylist() == ["007", "1.50"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sql": "SELEC 1"}, "--sql cannot be read: Parser Error"),
        ({"where": "value > 3"}, r"write number\(column\)"),
        ({"where": "CAST(value AS DOUBLE) > 3"}, "Conversion Error"),
    ],
)
def test_sql_that_does_not_run_is_refused(
    open_text: OpenText, options: dict[str, str], message: str
) -> None:
    """In DuckDB's words, and that columns are text."""
    with pytest.raises(FileError, match=message):
        open_text(f"user_id,item_id,event_time,value\na,i,{TIME},gift\n", **options)


def test_a_broken_quote_or_a_line_break_in_quotes_of_a_large_file(open_text: OpenText) -> None:
    """Above a megabyte, where files are read in pieces."""
    row = 'ann,mug,2020-01-01,"please leave it\nat the door of the neighbour"\n'
    log = open_text("user_id,item_id,event_time,note\n" + 20_000 * row + "ann,mug\n" + row)
    assert log.num_events == 20_001
    assert [one.count for one in log.report().left_out] == [1]


def test_without_a_file_or_with_flags_of_a_missing_one_there_is_nothing_to_read() -> None:
    """Both say which flag is missing."""
    with pytest.raises(FileError, match="name a file with --events"), open_log([]):
        pass
    options = ReadOptions(
        sql="SELECT 'a' AS user_id, 'i' AS item_id, '2020-01-01' AS event_time",
        item_mapping={"item_id": "sku"},
    )
    with pytest.raises(FileError, match="name it with --items"), open_log([], (), options):
        pass


def test_an_empty_log_has_its_schemas(open_text: OpenText) -> None:
    """A header alone is no mistake of the file."""
    log = open_text(HEADER).read()
    assert log.events.equals(EVENT_SCHEMA.empty_table())
    assert log.items.equals(ITEM_SCHEMA.empty_table())
