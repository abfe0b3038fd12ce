"""JSON objects of one known shape to columns, by a compiled loop over the bytes.

The loop takes what it understands to the last byte: a flat object of the wanted fields with values
of the wanted types, and other fields of any shape. Whatever else it meets (an escape in a string, a
field twice, a number of unusual length, a type that is not wanted, an end too early) it leaves to a
decoder that can say what is wrong, or that it is right after all. So it never decides that a record
is bad, and it cannot be led outside its bytes: every step is checked against the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect
import numpy as np
import pyarrow as pa

from reaseq.compiled import compiled
from reaseq.types import Bools, Bytes, Float64s, Int64s
from streams.log.byte_slices import ByteSlices

MAX_DEPTH = 32
MAX_INT_DIGITS = 18
MAX_EXACT_DIGITS = 15
MAX_EXACT_POWER = 22
"""A decimal of so many digits and such a power of ten is one exact product or quotient away from
its nearest double (Clinger 1990, "How to read floating point numbers accurately")."""

POWERS = np.array([float(f"1e{power}") for power in range(MAX_EXACT_POWER + 1)])


TEXT, CHOICE, INT, FLOAT, OBJECT, OTHER = range(6)
"""What a field may hold, besides nothing where it says so. OTHER is what the loop does not read: an
object with such a field is left to the decoder."""


class Shape(NamedTuple):
    """The fields for the compiled loop, one row each."""

    fields: Int64s
    """[num_fields, 5]: kind, whether required, whether null is allowed, lowest and highest."""
    names: Bytes
    name_ends: Int64s
    """Name i is `names[name_ends[i - 1] : name_ends[i]]`."""
    choices: Bytes
    choice_ends: Int64s


class Walked(NamedTuple):
    """What was read: [num_fields, num_values] each, and which values were understood at all."""

    is_read: Bools
    is_there: Bools
    """False where the field is missing or null."""
    starts: Int64s
    """Of a text; of an integer the number, of a choice its place."""
    ends: Int64s
    floats: Float64s


@dataclass(frozen=True)
class _Field:
    name: str
    kind: int
    is_required: bool
    may_be_null: bool = False
    low: int = 0
    high: int = np.iinfo(np.int64).max
    choices: tuple[str, ...] = ()


class JsonWalk:
    """Reads objects of a struct's shape into columns of a schema."""

    def __init__(self, record_type: type[msgspec.Struct], schema: pa.Schema) -> None:
        """The schema's columns are fields of the struct, at most one of them a choice."""
        fields = [_field(field) for field in msgspec.inspect.type_info(record_type).fields]  # type: ignore[attr-defined]
        self._place = {field.name: place for place, field in enumerate(fields)}
        self._fields = fields
        self._schema = schema
        self._choices = pa.array([name for field in fields for name in field.choices], pa.string())
        self._shape = _shape(fields)
        self.read(ByteSlices.of([]), 0)  # compiles, so that no record waits for it

    def read(self, values: ByteSlices, max_bytes: int) -> tuple[pa.Table, Bools]:
        """The rows of the values that were understood, in order, and which these are."""
        num_values, num_fields = len(values), len(self._fields)
        walked = Walked(
            np.zeros(num_values, np.bool_),
            np.zeros((num_fields, num_values), np.bool_),
            np.zeros((num_fields, num_values), np.int64),
            np.zeros((num_fields, num_values), np.int64),
            np.zeros((num_fields, num_values), np.float64),
        )
        _walk(values.data, values.starts, values.ends, max_bytes, *self._shape, POWERS, *walked)
        rows = np.flatnonzero(walked.is_read)
        columns = [self._column(field, values.data, walked, rows) for field in self._schema]
        return pa.Table.from_arrays(columns, schema=self._schema), walked.is_read

    def _column(self, field: pa.Field, data: Bytes, walked: Walked, rows: Int64s) -> pa.Array:
        place = self._place[field.name]
        kind = self._fields[place].kind
        is_missing = ~walked.is_there[place][rows]
        mask = is_missing if is_missing.any() else None
        if kind == INT:
            return pa.array(walked.starts[place][rows], field.type, mask=mask)
        if kind == FLOAT:
            return pa.array(walked.floats[place][rows], field.type, mask=mask)
        if kind == CHOICE:
            return self._choices.take(pa.array(walked.starts[place][rows], mask=mask))
        return _texts(data, walked.starts[place][rows], walked.ends[place][rows], mask)


def _field(field: Any) -> _Field:
    """What a struct says of its field, as far as the loop can read it."""
    of = field.type
    may_be_null = False
    if isinstance(of, msgspec.inspect.UnionType):
        others = [one for one in of.types if not isinstance(one, msgspec.inspect.NoneType)]
        may_be_null = len(others) < len(of.types)
        of = others[0] if len(others) == 1 else None
    common = (field.encode_name, field.required, may_be_null)
    match of:
        case msgspec.inspect.StrType(pattern=None):
            return _made(common, TEXT, of.min_length, of.max_length)
        case msgspec.inspect.IntType(gt=None, le=None, multiple_of=None):
            low = np.iinfo(np.int64).min if of.ge is None else of.ge
            return _made(common, INT, low, None if of.lt is None else of.lt - 1)
        case msgspec.inspect.FloatType(gt=None, ge=None, lt=None, le=None, multiple_of=None):
            return _made(common, FLOAT)
        case msgspec.inspect.EnumType():
            name, required, null = common
            choices = tuple(choice.value for choice in of.cls)
            return _Field(name, CHOICE, required, null, choices=choices)
        case msgspec.inspect.DictType(key_type=msgspec.inspect.StrType()):
            return _made(common, OBJECT)
        case _:
            return _made(common, OTHER)


def _made(
    common: tuple[str, bool, bool], kind: int, low: int | None = None, high: int | None = None
) -> _Field:
    name, required, may_be_null = common
    highest = np.iinfo(np.int64).max if high is None else high
    return _Field(name, kind, required, may_be_null, low or 0, highest)


def _shape(fields: list[_Field]) -> Shape:
    names = [field.name.encode() for field in fields]
    choices = [name.encode() for field in fields for name in field.choices]
    assert sum(bool(field.choices) for field in fields) <= 1, "one field of choices"
    rows = [[f.kind, f.is_required, f.may_be_null, f.low, f.high] for f in fields]
    return Shape(
        np.array(rows, np.int64),
        names=np.frombuffer(b"".join(names), np.uint8),
        name_ends=np.cumsum([len(name) for name in names]),
        choices=np.frombuffer(b"".join(choices), np.uint8),
        choice_ends=np.cumsum([len(name) for name in choices], dtype=np.int64),
    )


def _texts(data: Bytes, starts: Int64s, ends: Int64s, mask: Bools | None) -> pa.Array:
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    content = np.empty(offsets[-1], np.uint8)
    _gather(data, starts, ends, content)
    validity = None if mask is None else pa.array(~mask).buffers()[1]
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(content)]
    found = pa.Array.from_buffers(pa.large_string(), len(starts), buffers)
    return found.cast(pa.string())


@compiled
def _gather(data: Bytes, starts: Int64s, ends: Int64s, content: Bytes) -> None:
    target = 0
    for row in range(len(starts)):
        for position in range(starts[row], ends[row]):
            content[target] = data[position]
            target += 1


QUOTE, BACKSLASH, COMMA, COLON = 0x22, 0x5C, 0x2C, 0x3A
OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY = 0x7B, 0x7D, 0x5B, 0x5D
MINUS, PLUS, POINT, ZERO, NINE = 0x2D, 0x2B, 0x2E, 0x30, 0x39
SPACE, TAB, NEWLINE, RETURN = 0x20, 0x09, 0x0A, 0x0D
LITERALS = (b"true", b"false", b"null")
TRUE, FALSE, NULL = (np.frombuffer(literal, np.uint8) for literal in LITERALS)


@compiled
def _after_space(data: Bytes, position: int, end: int) -> int:
    while position < end and (
        data[position] == SPACE
        or data[position] == NEWLINE
        or data[position] == RETURN
        or data[position] == TAB
    ):
        position += 1
    return position


@compiled
def _is_tail(data: Bytes, position: int, end: int, lowest: int, highest: int) -> bool:
    """Whether the next byte of a character lies where UTF-8 wants it."""
    return position < end and lowest <= data[position] <= highest


@compiled
def _after_character(data: Bytes, position: int, end: int) -> int:
    """Behind a character of several bytes, -1 where it is not UTF-8 (RFC 3629, section 4)."""
    lead = data[position]
    lowest, highest, num_tails = 0x80, 0xBF, 0
    if 0xC2 <= lead <= 0xDF:
        num_tails = 1
    elif 0xE0 <= lead <= 0xEF:
        num_tails = 2
        lowest = 0xA0 if lead == 0xE0 else 0x80
        highest = 0x9F if lead == 0xED else 0xBF
    elif 0xF0 <= lead <= 0xF4:
        num_tails = 3
        lowest = 0x90 if lead == 0xF0 else 0x80
        highest = 0x8F if lead == 0xF4 else 0xBF
    else:
        return -1
    for tail in range(num_tails):
        if not _is_tail(data, position + 1 + tail, end, lowest, highest):
            return -1
        lowest, highest = 0x80, 0xBF
    return position + 1 + num_tails


@compiled
def _text_end(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """The closing quote of a string begun before `position`, and the characters; -1 if unread."""
    num_characters = 0
    while position < end:
        byte = data[position]
        if byte == QUOTE:
            return position, num_characters
        if byte == BACKSLASH or byte < SPACE:
            return -1, 0
        if byte < 0x80:
            position += 1
        else:
            position = _after_character(data, position, end)
            if position < 0:
                return -1, 0
        num_characters += 1
    return -1, 0


@compiled
def _is_digit(data: Bytes, position: int, end: int) -> bool:
    return position < end and ZERO <= data[position] <= NINE


@compiled
def _digits(data: Bytes, position: int, end: int, number: int) -> tuple[int, int]:
    """Behind the digits, and `number` with them appended; of too many it is nonsense."""
    while _is_digit(data, position, end):
        number = number * 10 + int(np.int64(data[position])) - ZERO
        position += 1
    return position, number


@compiled
def _int(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """An integer and the position behind it, -1 if unread."""
    is_negative = position < end and data[position] == MINUS
    start = position + 1 if is_negative else position
    position, number = _digits(data, start, end, 0)
    num_digits = position - start
    if num_digits == 0 or num_digits > MAX_INT_DIGITS or (data[start] == ZERO and num_digits > 1):
        return 0, -1
    return (-number if is_negative else number), position


@compiled
def _float(data: Bytes, position: int, end: int, powers: Float64s) -> tuple[float, int]:
    """A number that is exactly its nearest double, and the position behind it, -1 if unread."""
    is_negative = position < end and data[position] == MINUS
    start = position + 1 if is_negative else position
    position, number = _digits(data, start, end, 0)
    num_digits = position - start
    if num_digits == 0 or (data[start] == ZERO and num_digits > 1):
        return 0.0, -1
    power = 0
    if position < end and data[position] == POINT:
        first = position + 1
        position, number = _digits(data, first, end, number)
        power = first - position
        if power == 0:
            return 0.0, -1
        num_digits -= power
    if position < end and (data[position] == 0x65 or data[position] == 0x45):
        position += 1
        is_small = position < end and data[position] == MINUS
        if is_small or (position < end and data[position] == PLUS):
            position += 1
        first = position
        position, exponent = _digits(data, first, end, 0)
        if position == first or position - first > 3:
            return 0.0, -1
        power += -exponent if is_small else exponent
    if num_digits > MAX_EXACT_DIGITS or abs(power) > MAX_EXACT_POWER:
        return 0.0, -1
    if number == 0 and is_negative:
        return 0.0, -1
    found = number / powers[-power] if power < 0 else number * powers[power]
    return (-found if is_negative else found), position


@compiled
def _after_literal(data: Bytes, position: int, end: int, literal: Bytes) -> int:
    if len(literal) > end - position:
        return -1
    for place in range(len(literal)):
        if data[position + place] != literal[place]:
            return -1
    return position + len(literal)


@compiled
def _after_scalar(data: Bytes, position: int, end: int, powers: Float64s) -> int:
    """Behind a string, number or literal, -1 if unread."""
    if position >= end:
        return -1
    byte = data[position]
    if byte == QUOTE:
        closing, _ = _text_end(data, position + 1, end)
        return closing + 1 if closing >= 0 else -1
    if byte == 0x74:
        return _after_literal(data, position, end, TRUE)
    if byte == 0x66:
        return _after_literal(data, position, end, FALSE)
    if byte == 0x6E:
        return _after_literal(data, position, end, NULL)
    _, behind = _float(data, position, end, powers)
    return behind


@compiled
def _after_key(data: Bytes, position: int, end: int) -> int:
    """At the value behind a key and its colon, -1 if unread."""
    if position >= end or data[position] != QUOTE:
        return -1
    closing, _ = _text_end(data, position + 1, end)
    if closing < 0:
        return -1
    position = _after_space(data, closing + 1, end)
    if position >= end or data[position] != COLON:
        return -1
    return _after_space(data, position + 1, end)


@compiled
def _after_value(data: Bytes, position: int, end: int, powers: Float64s) -> int:
    """Behind any value, of whatever shape, -1 if unread. At `position` it begins."""
    depth = 0
    in_object = np.uint64(0)  # bit d: whether the container at depth d is an object
    while True:
        if position >= end:
            return -1
        byte = data[position]
        if byte in (OPEN_OBJECT, OPEN_ARRAY):
            if depth == MAX_DEPTH:
                return -1
            is_object = byte == OPEN_OBJECT
            bit = np.uint64(1) << np.uint64(depth)
            in_object = in_object | bit if is_object else in_object & ~bit
            depth += 1
            position = _after_space(data, position + 1, end)
            closing = CLOSE_OBJECT if is_object else CLOSE_ARRAY
            if position < end and data[position] == closing:
                depth -= 1
                position += 1
            else:
                if is_object:
                    position = _after_key(data, position, end)
                    if position < 0:
                        return -1
                continue
        else:
            position = _after_scalar(data, position, end, powers)
            if position < 0:
                return -1
        # A value has ended: so may the containers round it.
        while True:
            if depth == 0:
                return position
            position = _after_space(data, position, end)
            if position >= end:
                return -1
            is_object = (in_object >> np.uint64(depth - 1)) & np.uint64(1) == np.uint64(1)
            if data[position] == (CLOSE_OBJECT if is_object else CLOSE_ARRAY):
                depth -= 1
                position += 1
                continue
            if data[position] != COMMA:
                return -1
            position = _after_space(data, position + 1, end)
            if is_object:
                position = _after_key(data, position, end)
                if position < 0:
                    return -1
            break


@compiled
def _place_of(
    data: Bytes, start: int, end: int, names: Bytes, name_ends: Int64s, guess: int
) -> int:
    """Which of the names this is, -1 if none; looks at `guess` first."""
    num_names = len(name_ends)
    for step in range(num_names):
        place = guess + step
        if place >= num_names:
            place -= num_names
        first = name_ends[place - 1] if place else 0
        if name_ends[place] - first != end - start:
            continue
        is_same = True
        for offset in range(end - start):
            if data[start + offset] != names[first + offset]:
                is_same = False
                break
        if is_same:
            return place
    return -1


@compiled
def _wanted(
    data: Bytes,
    position: int,
    end: int,
    kind: int,
    low: int,
    high: int,
    choices: Bytes,
    choice_ends: Int64s,
    powers: Float64s,
) -> tuple[int, int, int, float]:
    """A value of a wanted kind: the position behind it, -1 if unread; and see `Walked`."""
    unread = (-1, 0, 0, 0.0)
    if kind in (TEXT, CHOICE):
        if data[position] != QUOTE:
            return unread
        start = position + 1
        closing, num_characters = _text_end(data, start, end)
        if closing < 0:
            return unread
        if kind == CHOICE:
            choice = _place_of(data, start, closing, choices, choice_ends, 0)
            return (closing + 1, choice, 0, 0.0) if choice >= 0 else unread
        if not low <= num_characters <= high:
            return unread
        return closing + 1, start, closing, 0.0
    if kind == INT:
        number, behind = _int(data, position, end)
        return (behind, number, 0, 0.0) if low <= number <= high else unread
    if kind == FLOAT:
        found, behind = _float(data, position, end, powers)
        return behind, 0, 0, found
    if kind == OBJECT and data[position] == OPEN_OBJECT:
        return _after_value(data, position, end, powers), 0, 0, 0.0
    return unread


@compiled
def _is_object_read(
    data: Bytes,
    position: int,
    end: int,
    value: int,
    fields: Int64s,
    names: Bytes,
    name_ends: Int64s,
    choices: Bytes,
    choice_ends: Int64s,
    powers: Float64s,
    is_there: Bools,
    starts: Int64s,
    ends: Int64s,
    floats: Float64s,
) -> bool:
    position = _after_space(data, position, end)
    if position >= end or data[position] != OPEN_OBJECT:
        return False
    position = _after_space(data, position + 1, end)
    met, guess = 0, 0  # bit p of `met`: the field at place p has come
    while True:
        key = position + 1
        position = _after_key(data, position, end)
        if position < 0 or position >= end:
            return False
        closing, _ = _text_end(data, key, end)
        place = _place_of(data, key, closing, names, name_ends, guess)
        if place < 0:
            position = _after_value(data, position, end, powers)
        else:
            if met >> place & 1:
                return False
            met |= 1 << place
            guess = place + 1
            if fields[place, 2] and data[position] == NULL[0]:
                position = _after_literal(data, position, end, NULL)
            else:
                position, start, text_end, found = _wanted(
                    data,
                    position,
                    end,
                    fields[place, 0],
                    fields[place, 3],
                    fields[place, 4],
                    choices,
                    choice_ends,
                    powers,
                )
                is_there[place, value] = True
                starts[place, value], ends[place, value] = start, text_end
                floats[place, value] = found
        if position < 0:
            return False
        position = _after_space(data, position, end)
        if position >= end:
            return False
        if data[position] == CLOSE_OBJECT:
            break
        if data[position] != COMMA:
            return False
        position = _after_space(data, position + 1, end)
    for place in range(len(fields)):
        if fields[place, 1] and not met >> place & 1:
            return False
    return _after_space(data, position + 1, end) == end


@compiled
def _walk(
    data: Bytes,
    value_starts: Int64s,
    value_ends: Int64s,
    max_bytes: int,
    fields: Int64s,
    names: Bytes,
    name_ends: Int64s,
    choices: Bytes,
    choice_ends: Int64s,
    powers: Float64s,
    is_read: Bools,
    is_there: Bools,
    starts: Int64s,
    ends: Int64s,
    floats: Float64s,
) -> None:
    # The arrays of Shape and Walked one by one: a call counts the references of every array in a
    # tuple, which takes longer than reading a field.
    for value in range(len(value_starts)):
        start, end = value_starts[value], value_ends[value]
        is_read[value] = 0 < end - start <= max_bytes and _is_object_read(
            data,
            start,
            end,
            value,
            fields,
            names,
            name_ends,
            choices,
            choice_ends,
            powers,
            is_there,
            starts,
            ends,
            floats,
        )
