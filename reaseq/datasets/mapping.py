"""`--map`, `--types` and their like: which column, or which SQL, is which field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reaseq.datasets.errors import FileError
from reaseq.events import EventType

REQUIRED = ("user_id", "item_id", "event_time")
OPTIONAL = ("event_id", "event_type", "value")
DESCRIPTIONS = ("title", "price", "description")
"""Of an item; taken from a file of events only where the mapping names them."""

EVENT_FIELDS = (*REQUIRED, *OPTIONAL, *DESCRIPTIONS)
ITEM_FIELDS = ("item_id", *DESCRIPTIONS)

DROPPED = ("", "-")
"""What `--types NAME=` may be given to leave a type out."""

_PAIRS = {"(": ")", "[": "]", "{": "}"}


def parse_mapping(
    texts: str | Iterable[str], fields: tuple[str, ...] = EVENT_FIELDS, option: str = "--map"
) -> dict[str, str]:
    """Read "field=column,field=SQL", once or several times; the last of a field wins.

    A comma inside brackets or quotes belongs to the expression. Raises FileError for an unknown
    field or a wrong shape.
    """
    mapping: dict[str, str] = {}
    for part in _parts(texts, option):
        field, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column:
            raise FileError(f"{option}: '{part}' is not field=column; put SQL with commas in ()")
        if field not in fields:
            raise FileError(f"{option}: unknown field '{field}': choose among {', '.join(fields)}")
        mapping[field] = column
    return mapping


def parse_types(texts: str | Iterable[str]) -> dict[str, str | None]:
    """Read "source=type,source="; nothing or "-" after the sign leaves the type out (None).

    Keys are lower case. Raises FileError for a type that is not ours.
    """
    known = [event_type.value for event_type in EventType]
    types: dict[str, str | None] = {}
    for part in _parts(texts, "--types"):
        source, equals, target = (piece.strip() for piece in part.rpartition("="))
        if not equals or not source:
            raise FileError(f"--types: '{part}' is not SOURCE=TYPE")
        if target not in (*known, *DROPPED):
            raise FileError(
                f"--types: '{target}' is none of {', '.join(known)}; "
                f"'{source}=' leaves such rows out"
            )
        types[source.lower()] = None if target in DROPPED else target
    return types


def parse_columns(text: str) -> tuple[str, ...]:
    """Read "a,b,c". Raises FileError for a name that is empty or comes twice."""
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else ()
    if "" in names or len({name.lower() for name in names}) < len(names):
        raise FileError(f"--columns {text}: every column needs a name of its own")
    return names


def _parts(texts: str | Iterable[str], option: str) -> Iterator[str]:
    for text in [texts] if isinstance(texts, str) else texts:
        for part in _split(text, option):
            if part.strip():
                yield part.strip()


def _split(text: str, option: str) -> list[str]:
    """Split at commas that stand outside brackets and quotes."""
    parts, waiting_for, start = [], [""], 0
    for place, character in enumerate(text):
        quoted = waiting_for[-1] in ("'", '"')
        if character == waiting_for[-1]:
            waiting_for.pop()
        elif not quoted and character in ("'", '"'):
            waiting_for.append(character)
        elif not quoted and character in _PAIRS:
            waiting_for.append(_PAIRS[character])
        elif character == "," and len(waiting_for) == 1:
            parts.append(text[start:place])
            start = place + 1
    if len(waiting_for) > 1:
        raise FileError(f"{option}: {waiting_for[-1]} is missing in '{text[start:]}'")
    return [*parts, text[start:]]
