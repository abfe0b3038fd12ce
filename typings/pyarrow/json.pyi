from typing import IO, Literal

from pyarrow import Schema, Table

class ParseOptions:
    def __init__(
        self,
        explicit_schema: Schema | None = ...,
        unexpected_field_behavior: Literal["ignore", "error", "infer"] = ...,
    ) -> None: ...

class ReadOptions:
    def __init__(self, use_threads: bool = ..., block_size: int | None = ...) -> None: ...

def read_json(
    input_file: IO[bytes],
    read_options: ReadOptions | None = ...,
    parse_options: ParseOptions | None = ...,
) -> Table: ...
