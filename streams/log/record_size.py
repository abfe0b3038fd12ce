"""What a record measures, and what a log takes of it: the same for the fake and for a broker."""

from __future__ import annotations

from streams.log.record_batch import Headers

ENVELOPE_BYTES = 16_384
"""Room beside a value of the largest size, for key, headers and framing. A dead letter has more
headers than the event had, and its smallest form always fits into this alone."""

RECORD_FRAMING_BYTES = 128
"""At most what Kafka's format adds to a record that is alone in its batch, its headers apart."""

HEADER_FRAMING_BYTES = 10
"""At most what it adds to a header: the lengths of name and value."""


def max_record_bytes(max_message_bytes: int) -> int:
    """What a record may measure where a value may have `max_message_bytes`."""
    return max_message_bytes + ENVELOPE_BYTES


def record_bytes(value: bytes | None, key: bytes | None, headers: Headers) -> int:
    """Key, value and headers with their framing; never less than what a broker measures."""
    return RECORD_FRAMING_BYTES + len(value or b"") + len(key or b"") + headers_bytes(headers)


def headers_bytes(headers: Headers) -> int:
    """The headers' part in `record_bytes`."""
    return sum(
        HEADER_FRAMING_BYTES + len(name.encode()) + len(value or b"") for name, value in headers
    )
