from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from pyarrow import Schema, Table
from pyarrow.compute import Expression

def read_table(
    source: str | Path | IO[bytes],
    columns: Sequence[str] | None = ...,
    schema: Schema | None = ...,
    filters: Expression | None = ...,
) -> Table: ...
def write_table(
    table: Table,
    where: str | Path | IO[bytes],
    compression: str = ...,
    compression_level: int | None = ...,
    use_dictionary: bool | Sequence[str] = ...,
    column_encoding: Mapping[str, str] | None = ...,
    row_group_size: int | None = ...,
) -> None: ...
