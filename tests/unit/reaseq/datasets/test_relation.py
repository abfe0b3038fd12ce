"""Files of every format, packed or not, are one relation of text columns."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reaseq.datasets.errors import FileError
from reaseq.datasets.reader import open_log
from reaseq.datasets.stored_log import StoredLog

OpenText = Callable[..., StoredLog]

CSV = "user_id,item_id,event_time\n007,1.50,2020-01-01\n008,2e3,2020-01-02\n"
LINES = (
    '{"user_id": "007", "item_id": "1.50", "event_time": "2020-01-01"}\n'
    '{"user_id": "008", "item_id": "2e3", "event_time": "2020-01-02"}\n'
)


def parquet() -> bytes:
    out = io.BytesIO()
    columns = {"user_id": ["007", "008"], "item_id": ["1.50", "2e3"]}
    pq.write_table(pa.table(columns | {"event_time": ["2020-01-01", "2020-01-02"]}), out)
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("events.csv", CSV)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode(),
        b"\xef\xbb\xbf" + CSV.encode(),
        CSV.replace("\n", "\r\n").encode(),
        CSV.replace(",", "\t").encode(),
        CSV.replace(",", "::").encode(),
        CSV.encode("utf-16"),
        gzip.compress(CSV.encode(), mtime=0),
        zipped(),
        LINES.encode(),
        gzip.compress(LINES.encode(), mtime=0),
        f"[{LINES.strip().replace(chr(10), ',')}]".encode(),
        LINES.replace("{", "{\n").encode(),
        parquet(),
    ],
    ids=[
        "CSV",
        "CSV with a mark",
        "CSV of Windows",
        "tabs",
        "double colons",
        "UTF-16",
        "gzip of CSV",
        "zip of CSV",
        "JSON lines",
        "gzip of JSON lines",
        "JSON array",
        "JSON over lines",
        "Parquet",
    ],
)
def test_every_format_is_recognised_by_its_content(open_text: OpenText, content: bytes) -> None:
    """Not by its name; ids that look like numbers stay as written in all of them."""
    events = open_text(content, name="export.data").read().events
    assert events["user_id"].to_pylist() == ["007", "008"]
    assert events["item_id"].to_pylist() == ["1.50", "2e3"]


def test_files_of_different_formats_and_columns_are_one_log(tmp_path: Path) -> None:
    """Columns meet by name; a file may lack an optional one."""
    (tmp_path / "a.csv").write_text("item_id,user_id,event_time,value\nmug,ann,2020-01-01,3\n")
    (tmp_path / "b.json").write_text(LINES)
    with open_log([f"{tmp_path}/*"]) as log:
        rows = [(row["user_id"], row["value"]) for row in log.read().events.to_pylist()]
    assert rows == [("ann", 3.0), ("007", None), ("008", None)]


def test_numbers_in_json_are_ids_as_written_and_late_fields_are_no_trouble(
    open_text: OpenText,
) -> None:
    """Neither a type nor a shape is guessed from the first rows and imposed on the rest."""
    text = '{"user_id": 12345678901, "item_id": 7, "event_time": "2020-01-01", "p": {"x": 1}}\n'
    late = '{"user_id": "u-1", "item_id": "a", "event_time": "2020-01-02", "p": "none"}\n'
    log = open_text(text * 3 + "{broken\n" + late)
    events = log.read().events
    assert events["user_id"].to_pylist() == 3 * ["12345678901"] + ["u-1"]
    assert [(one.reason, one.count) for one in log.report().left_out] == [
        ("empty or broken row", 1)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x00\x01\x02", "is not CSV, JSON or Parquet"),
        (b"PAR1 and no more", "cannot be read: .*Check that it is whole"),
        (gzip.compress(CSV.encode(), mtime=0)[:-12], r"cannot be read .*: copy it again"),
        (b'[{"user_id": ', "cannot be read"),
    ],
    ids=["nothing", "blank", "bytes", "Parquet", "gzip", "JSON"],
)
def test_a_file_that_is_not_whole_is_refused_by_name(
    open_text: OpenText, content: bytes, message: str
) -> None:
    """Empty, of no known format, or broken off."""
    with pytest.raises(FileError, match=message):
        open_text(content, name="log.bin")


def test_rows_that_do_not_fit_the_first_line_are_a_wrong_separator(open_text: OpenText) -> None:
    """When not one line fits, the separator or the header is the matter."""
    with pytest.raises(FileError, match="give the right one with --separator"):
        open_text("user_id,item_id,event_time\na;b;c\nd;e;f\n", separator=",")
