"""Impressions never hold up an answer."""

from __future__ import annotations

import threading

import pytest

from ray_apps.serving.impressions import ImpressionLog
from streams.log.ports import Headers, LogError
from tests.waiting import wait_until


class Broker:
    """A log writer that can be away: then it blocks, or refuses."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.is_asked = threading.Event()
        self.refuses = False
        self.num_refused = 0
        self.sent: list[bytes] = []
        self.flushed = 0
        self.is_closed = False

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()
    ) -> None:
        self.is_asked.set()
        self.is_there.wait()
        if self.refuses:
            self.num_refused += 1
            raise LogError("no")
        self.sent.append(value or b"")

    def flush(self) -> None:
        self.flushed = len(self.sent)

    def close(self) -> None:
        self.is_closed = True


def test_a_broker_that_is_away_blocks_nobody_and_loses_only_what_is_too_much() -> None:
    """What waited is written when it is back."""
    broker = Broker()
    impressions = ImpressionLog(broker, "impressions", max_waiting=3)
    impressions.put(b"0", b"u")
    broker.is_asked.wait()
    for number in range(1, 10):
        impressions.put(str(number).encode(), b"u")
    assert broker.sent == []
    broker.is_there.set()
    wait_until(lambda: broker.flushed == 4)
    impressions.put(b"10", b"u")
    wait_until(lambda: broker.flushed == 5)
    assert broker.sent == [b"0", b"1", b"2", b"3", b"10"]


def test_a_refusal_does_not_end_the_writing() -> None:
    """What comes after it is written."""
    broker = Broker()
    broker.is_there.set()
    broker.refuses = True
    impressions = ImpressionLog(broker, "impressions")
    impressions.put(b"refused", b"u")
    wait_until(lambda: broker.num_refused == 1)
    broker.refuses = False
    impressions.put(b"taken", b"u")
    wait_until(lambda: broker.flushed == 1)
    assert broker.sent == [b"taken"]


def test_closing_writes_what_waits_and_closes_the_writer() -> None:
    """In order; what comes afterwards harms nothing."""
    broker = Broker()
    broker.is_there.set()
    impressions = ImpressionLog(broker, "impressions")
    for number in range(1200):
        impressions.put(str(number).encode(), b"u")
    impressions.close()
    assert broker.sent == [str(number).encode() for number in range(1200)]
    assert (broker.flushed, broker.is_closed) == (1200, True)
    impressions.put(b"late", b"u")
    assert len(broker.sent) == 1200


def test_closing_gives_up_on_a_broker_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """A replica that has to go is not held up, and says what is lost."""
    for max_waiting in (3, 100):  # with and without room for the last one
        broker = Broker()
        impressions = ImpressionLog(broker, "impressions", max_waiting)
        for number in range(5):
            impressions.put(str(number).encode(), b"u")
        impressions.close(timeout_s=0.05)
        assert not broker.is_closed
        assert "were not logged: no broker" in caplog.text
        caplog.clear()
        broker.is_there.set()
