from collections.abc import Sequence
from typing import IO

class FileInfo:
    path: str
    size: int

class FileSystem:
    def get_file_info(self, paths_or_selector: str | Sequence[str]) -> FileInfo: ...
    def open_output_stream(self, path: str) -> IO[bytes]: ...

class PyFileSystem(FileSystem):
    def __init__(self, handler: object) -> None: ...
