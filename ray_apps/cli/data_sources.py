"""The log a command works on: the bundled data set, or the user's own file."""

from __future__ import annotations

from pathlib import Path

from reaseq.datasets.event_log import EventLog
from reaseq.datasets.online_retail import read_online_retail
from reaseq.datasets.tabular import parse_mapping, read_log


def read_source(file: Path | None, mapping: str, types: str, num_users: int | None) -> EventLog:
    """Read the bundled data set, or `file` as `--map` and `--types` say.

    Raises ValueError with what to do when the file does not fit.
    """
    if file is None:
        if mapping or types:
            raise ValueError("--map and --types describe a file: name it with --events")
        log = read_online_retail()
    else:
        log = read_log(file, parse_mapping(mapping), _pairs(types))
    if not log.events.num_rows:
        raise ValueError(f"there is no usable event in {file}: {dict(log.left_out)}")
    return log.of_users(num_users) if num_users else log


def _pairs(text: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in text.split(",") if part]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"--types {text}: write SOURCE=TYPE,SOURCE=TYPE")
    return {source.strip(): target.strip() for source, target in pairs}
