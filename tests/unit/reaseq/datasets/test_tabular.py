"""A user's own file becomes events, and a mistake in it or in the call is named with its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reaseq.datasets.event_log import EventLog
from reaseq.datasets.tabular import parse_mapping, read_log
from reaseq.schemas import EVENT_SCHEMA, ITEM_SCHEMA

HEADER = "user_id,item_id,event_time\n"


def read_csv(folder: Path, text: str, mapping: str = "", **options: Any) -> EventLog:
    file = folder / "mine.csv"
    file.write_text(text)
    return read_log(file, parse_mapping(mapping), **options)


def read_parquet(folder: Path, columns: dict[str, Any], mapping: str = "") -> EventLog:
    file = folder / "mine.parquet"
    pq.write_table(pa.table(columns), file)
    return read_log(file, parse_mapping(mapping))


def test_a_csv_with_names_of_its_own_is_mapped(tmp_path: Path) -> None:
    """Every field by its column's name; other columns are nobody's business."""
    log = read_csv(
        tmp_path,
        "customer,sku,when,what,paid,id,name,each,note\n"
        "17850,85123A,2010-12-01T08:26:00,Bought,15.3,n1,White heart,2.55,x\n"
        "13047,84879,2010-12-01 08:34,view,,n2,,,y\n",
        "user_id=customer, item_id=sku, event_time=when, event_type=what, value=paid, "
        "event_id=id, title=name, price=each",
        types={"bought": "purchase"},
    )
    assert log.events.schema == EVENT_SCHEMA
    assert [tuple(row.values()) for row in log.events.to_pylist()] == [
        ("n1", "17850", "85123A", "purchase", 1_291_191_960_000, 15.3),
        ("n2", "13047", "84879", "view", 1_291_192_440_000, None),
    ]
    assert log.items.schema == ITEM_SCHEMA
    assert [(i["item_id"], i["title"], i["price"]) for i in log.items.to_pylist()] == [
        ("84879", "84879", None),
        ("85123A", "White heart", 2.55),
    ]
    assert sum(log.left_out.values()) == 0


def test_a_parquet_file_is_read_like_a_csv(tmp_path: Path) -> None:
    """The same rows in either format are the same events with the same ids."""
    text = f"{HEADER}17850,1,1291191960\n,2,1291191961\n13047,3,1291191962\n"
    columns = {
        "user_id": [17850.0, None, 13047.0],
        "item_id": [1, 2, 3],
        "event_time": [1291191960, 1291191961, 1291191962],
    }
    from_csv, from_parquet = read_csv(tmp_path, text), read_parquet(tmp_path, columns)
    assert from_parquet.events.equals(from_csv.events)
    assert from_parquet.items.equals(from_csv.items)
    assert from_parquet.left_out == from_csv.left_out


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_that_went_through_pandas_stay_numbers(tmp_path: Path, suffix: str) -> None:
    """A missing customer makes pandas write 17850.0; the user is still 17850."""
    frame = pd.DataFrame(
        {"user_id": [17850, None], "item_id": [22, 23], "event_time": [1291191960, 1291191961]}
    )
    file = tmp_path / f"mine.{suffix}"
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    log = read_log(file, {})
    assert log.events["user_id"].to_pylist() == ["17850"]
    assert log.events["item_id"].to_pylist() == ["22"]
    assert log.left_out["without a usable user_id"] == 1


def test_ids_in_a_csv_are_text(tmp_path: Path) -> None:
    """Leading zeros, long numbers and a code that first shows late in the file are kept."""
    rows = "".join(f"{number:08d},{10**20 + number},1291191960\n" for number in range(60_000))
    log = read_csv(tmp_path, f"{HEADER}{rows}A7,late,1291191960\n")
    assert log.events.num_rows == 60_001
    assert log.events["user_id"][3].as_py() == "00000003"
    assert log.events["item_id"][3].as_py() == "100000000000000000003"
    assert log.events["user_id"][-1].as_py() == "A7"


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        (",mug,1291191960,view,e", "user_id"),
        ("NULL,mug,1291191960,view,e", "user_id"),
        ("ann,,1291191960,view,e", "item_id"),
        ("ann,mug,,view,e", "event_time_ms"),
        ("ann,mug,yesterday,view,e", "event_time_ms"),
        ("ann,mug,-1,view,e", "event_time_ms"),
        ("ann,mug,1291191960000000,view,e", "event_time_ms"),
        ("ann,mug,1291191960,,e", "event_type"),
        ("ann,mug,1291191960,view,", "event_id"),
        (f"{'x' * 300},mug,1291191960,view,e", "user_id"),
    ],
)
def test_a_row_that_is_no_event_is_left_out_and_counted(
    tmp_path: Path, row: str, missing: str
) -> None:
    """Between good rows, each kind of incomplete one is counted by what it lacks."""
    good = "bob,mug,1291191960,view,{}\n"
    text = "user_id,item_id,event_time,event_type,event_id\n"
    log = read_csv(tmp_path, text + good.format("g1") + row + "\n" + good.format("g2"))
    assert log.events["event_id"].to_pylist() == ["g1", "g2"]
    assert {why: count for why, count in log.left_out.items() if count} == {
        f"without a usable {missing}": 1
    }


def test_rows_come_by_time_and_without_a_type_they_are_purchases(tmp_path: Path) -> None:
    """The order of the file is not the order of the log."""
    log = read_csv(tmp_path, f"{HEADER}ann,late,30\nann,early,10\nann,middle,20\n")
    assert log.events["item_id"].to_pylist() == ["early", "middle", "late"]
    assert set(log.events["event_type"].to_pylist()) == {"purchase"}


def test_reading_again_gives_the_same_ids_and_rows_alike_get_different_ones(
    tmp_path: Path,
) -> None:
    """Replaying a file twice changes nothing, and buying the same thing twice is two events."""
    text = f"{HEADER}ann,mug,10\nann,mug,10\nbob,mug,10\n"
    first, again = read_csv(tmp_path, text), read_csv(tmp_path, text)
    ids = first.events["event_id"].to_pylist()
    assert again.events["event_id"].to_pylist() == ids
    assert len(set(ids)) == 3
    longer = read_csv(tmp_path, f"{text}cid,jar,11\n").events["event_id"].to_pylist()
    assert longer[:3] == ids


def test_types_are_translated_whatever_their_case(tmp_path: Path) -> None:
    """Known names pass, foreign ones are translated, a known one may be translated too."""
    log = read_csv(
        tmp_path,
        "user_id,item_id,event_time,event_type\na,i,1,VIEW\na,i,2,Buy\na,i,3,buy\na,i,4,cart\n",
        types={"BUY": "purchase", "cart": "click"},
    )
    assert log.events["event_type"].to_pylist() == ["view", "purchase", "purchase", "click"]


def test_a_type_nobody_knows_is_refused_with_the_option_that_helps(tmp_path: Path) -> None:
    """The name, the option and the choices; a translation to no type is refused as well."""
    text = "user_id,item_id,event_time,event_type\na,i,1,Buy\n"
    with pytest.raises(ValueError, match=r"'buy'.*--types buy=TYPE.*view, click, cart, purchase"):
        read_csv(tmp_path, text)
    with pytest.raises(ValueError, match="'bought' is none of view, click"):
        read_csv(tmp_path, text, types={"buy": "bought"})


@pytest.mark.parametrize(
    ("header", "mapping", "message"),
    [
        ("customer,item_id,event_time", "", r"'user_id'.*customer, item_id.*--map user_id=COLUMN"),
        ("customer,item_id,event_time", "user_id=cust", "no column 'cust' for user_id"),
        ("user_id,item_id,event_time", "price=each", "no column 'each' for price"),
        ("user_id,item_id,event_time,user_id", "", "two columns 'user_id'"),
    ],
)
def test_a_column_that_is_not_there_once_is_named(
    tmp_path: Path, header: str, mapping: str, message: str
) -> None:
    """The message tells what the file has and how to point at it."""
    row = ",".join("1" for _ in header.split(","))
    with pytest.raises(ValueError, match=message):
        read_csv(tmp_path, f"{header}\n{row}\n", mapping)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user", "'user' is not field=column"),
        ("user_id=", "'user_id=' is not field=column"),
        ("client=customer", r"unknown field 'client': choose among user_id, item_id, event_time"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    """A slip in `--map` never maps something else."""
    with pytest.raises(ValueError, match=message):
        parse_mapping(text)


def test_a_mapping_may_be_empty_and_spaced() -> None:
    """Blanks and a trailing comma do not matter."""
    assert parse_mapping("") == {}
    assert parse_mapping(" user_id = a , item_id=b, ") == {"user_id": "a", "item_id": "b"}


def test_a_number_that_is_none_names_its_field(tmp_path: Path) -> None:
    """Prices with a currency sign are told apart from missing ones."""
    with pytest.raises(ValueError, match=r"value must hold numbers.*£3"):
        read_csv(tmp_path, "user_id,item_id,event_time,value\na,i,1,£3\n")


def test_a_file_with_a_header_only_is_an_empty_log(tmp_path: Path) -> None:
    """No rows is no error; the tables have their types."""
    log = read_csv(tmp_path, HEADER)
    assert log.events.equals(EVENT_SCHEMA.empty_table())
    assert log.items.equals(ITEM_SCHEMA.empty_table())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("empty.parquet", b""),
        ("text.parquet", b"user_id,item_id\n"),
        ("latin1.csv", b"user_id,item_id,event_time\na,\xff,1\n"),
        ("ragged.csv", b"user_id,item_id,event_time\na,b\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """Empty, of another format, in another encoding, or with lines of uneven length."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} cannot be read as CSV or Parquet"):
        read_log(file, {})


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A missing file and a folder."""
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(ValueError, match="is no file"):
            read_log(path, {})
