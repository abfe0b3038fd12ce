"""Dead letters as a person looks at them and sends them back."""

from __future__ import annotations

from io import StringIO

import pytest
import typer
from rich.console import Console

from ray_apps.cli.dead_letter_commands import DeadLetterCommands
from reaseq.errors import InputError, NotReadyError
from streams.log.codec import Reject
from streams.log.dead_letter_topic import Wanted
from streams.log.dead_letters import DeadLetters
from streams.log.memory import MemoryLog
from streams.log.ports import Headers, Partition, Record, RecordBatch
from streams.log.topics import create_topics
from streams.settings import TopicSettings

TOPICS = TopicSettings()
EVERYTHING = Wanted()


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog(20_000)
    create_topics(log, TOPICS, 2)
    return log


def put(
    log: MemoryLog,
    value: bytes,
    reason: str = "bad",
    key: bytes | None = b"ann",
    headers: Headers = (),
    topic: str = TOPICS.events,
) -> None:
    """One dead letter of the record at offset 41 of partition 1."""
    batch = RecordBatch.from_records(Partition(topic, 1), [Record(41, 0, key, value, headers)], 42)
    DeadLetters(log.writer(), TOPICS.dead_letters).put(batch, [Reject(0, reason)])


class Session:
    """The commands on a log, and what they printed."""

    def __init__(self, log: MemoryLog) -> None:
        self._file = StringIO()
        console = Console(file=self._file, width=200, force_terminal=False)
        self.commands = DeadLetterCommands(log, TOPICS, console)

    def said(self) -> str:
        return self._file.getvalue()

    def lines(self) -> list[str]:
        return [" ".join(line.split()) for line in self.said().splitlines()]


def test_the_list_has_the_newest_letters_and_the_counts_by_reason(log: MemoryLog) -> None:
    """With id, source and reason of each; those beyond the limit are counted."""
    for size in (5, 6, 7):
        put(log, b"x", f"{size} bytes too many")
    put(log, b"x", "not UTF-8", topic=TOPICS.items)
    session = Session(log)
    session.commands.list(EVERYTHING, 2)
    said = session.said()
    assert said.index("0@3") < said.index("0@2")
    assert "0@1" not in said
    assert f"{TOPICS.items} 1@41" in said
    assert "│ 3 │ # bytes too many │" in [" ".join(line.split()) for line in said.splitlines()]
    assert "4 dead letters, 2 of them shown" in said


def test_an_empty_list_says_so(log: MemoryLog) -> None:
    """Without tables."""
    session = Session(log)
    session.commands.list(EVERYTHING, 20)
    assert session.lines() == ["0 dead letters, 0 of them shown"]


def test_a_letter_is_shown_with_all_it_holds(log: MemoryLog) -> None:
    """Markup is not obeyed, escapes are visible, long lines stay whole."""
    value = b'{"note": "[bold]\x1b[31m' + b"x" * 300 + b'"}'
    put(log, value, "bad \x1b[5mvalue", b"\xff", (("trace", b"00-\x07"), ("tenant", b"[x]")))
    session = Session(log)
    session.commands.show("0@0")
    said = session.said()
    assert "\x1b" not in said
    for part in (
        "reason     bad \\x1b[5mvalue",
        f"source     {TOPICS.events} 1@41",
        "truncated  no",
        "requeues   0",
        "key        b'\\xff'",
        "trace: 00-\\x07",
        "tenant: [x]",
        '{"note": "[bold]\\x1b[31m' + "x" * 300 + '"}',
    ):
        assert part in said


def test_letters_are_sent_back_once_the_user_agrees(
    log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only then, and what cannot be sent is said before and after."""
    put(log, b"{}")
    put(log, b"x" * 100_000)
    answers = iter([False, True])

    def confirm(text: str, abort: bool) -> None:
        assert (text, abort) == ("Send 1 records?", True)
        if not next(answers):
            raise typer.Abort

    monkeypatch.setattr(typer, "confirm", confirm)
    session = Session(log)
    with pytest.raises(typer.Abort):
        session.commands.requeue([], EVERYTHING, take_all=True, yes=False)
    assert sent(log) == []
    session.commands.requeue([], EVERYTHING, take_all=True, yes=False)
    assert sent(log) == [b"{}"]
    assert f"sent back: 1 to {TOPICS.events}" in session.lines()
    assert any("refused: 1, the first is 0@1: truncated" in line for line in session.lines())


def test_letters_are_sent_back_by_their_ids(log: MemoryLog) -> None:
    """Each once, and no others."""
    for value in (b"0", b"1", b"2"):
        put(log, value)
    session = Session(log)
    session.commands.requeue(["0@2", "0@0", "0@2"], EVERYTHING, take_all=False, yes=True)
    assert sorted(sent(log)) == [b"0", b"2"]


def test_letters_are_sent_back_by_a_filter(log: MemoryLog) -> None:
    """Those that match."""
    put(log, b"0", "not UTF-8")
    put(log, b"1", "nested too deeply")
    Session(log).commands.requeue([], Wanted(reason="nested"), take_all=False, yes=True)
    assert sent(log) == [b"1"]


@pytest.mark.parametrize(
    ("ids", "wanted", "take_all"),
    [
        ([], EVERYTHING, False),
        (["0@0"], EVERYTHING, True),
        (["0@0"], Wanted(reason="bad"), False),
        ([], Wanted(topic="events"), True),
    ],
)
def test_what_is_to_be_sent_must_be_said_in_one_way(
    log: MemoryLog, ids: list[str], wanted: Wanted, take_all: bool
) -> None:
    """Nothing is sent by a command that was cut off or says two things."""
    put(log, b"0")
    with pytest.raises(InputError, match="--all"):
        Session(log).commands.requeue(ids, wanted, take_all, yes=True)
    assert sent(log) == []


def test_nothing_to_send_is_an_error(log: MemoryLog) -> None:
    """A script notices that its filter meets nothing."""
    with pytest.raises(NotReadyError, match="no dead letter to send"):
        Session(log).commands.requeue([], EVERYTHING, take_all=True, yes=True)


def sent(log: MemoryLog) -> list[bytes | None]:
    return [r.value for p in log.partitions(TOPICS.events) for r in log.read(p, 0, 100)]
