"""What the commands about dead letters do: list, show, requeue. They need the broker alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ray_apps.cli.broker_in_use import kafka_in_use
from ray_apps.cli.moments import age_of
from ray_apps.cli.printable import printable, readable
from ray_apps.settings import Settings
from reaseq.errors import InputError, NotReadyError
from reaseq.events import shown_time
from streams.log.dead_letter_counts import Summary, summarize
from streams.log.dead_letter_topic import DeadLetterTopic, StoredLetter, Wanted
from streams.log.kafka import KafkaLog
from streams.log.ports import Log
from streams.log.requeue import RequeueReport, num_requeues, requeue, requeue_into
from streams.settings import TopicSettings

NUM_REASONS = 20
"""The most frequent reasons, of which the list gives the counts."""


def commands_for(settings: Settings, console: Console) -> DeadLetterCommands:
    """The commands on the broker of the running system, or the one in the settings."""
    return DeadLetterCommands(KafkaLog(kafka_in_use(settings)), settings.topics, console)


class DeadLetterCommands:
    """One method per command."""

    def __init__(self, log: Log, topics: TopicSettings, console: Console) -> None:
        """Raises NotReadyError where there is no topic of dead letters."""
        self._log = log
        self._topic = DeadLetterTopic(log, topics.dead_letters)
        self._read_topics = (topics.events, topics.items)
        self._console = console

    def list(self, wanted: Wanted, limit: int) -> None:
        """Print the newest letters and the counts of all that are wanted."""
        summary = summarize(self._topic.read(wanted), limit)
        if summary.newest:
            self._console.print(_letters_table(summary))
            self._console.print(_reasons_table(summary))
        self._console.print(
            f"{summary.num_letters:,} dead letters, {len(summary.newest):,} of them shown"
        )
        if num_foreign := self._topic.num_foreign:
            self._console.print(
                f"[yellow]passed over[/yellow] {num_foreign:,} records that reaseq did not write"
            )

    def show(self, letter_id: str) -> None:
        """Print one letter with all it holds, safe for any terminal."""
        for line in _described(self._topic.at(letter_id)):
            self._console.out(line, highlight=False)

    def requeue(self, ids: Sequence[str], wanted: Wanted, take_all: bool, yes: bool) -> None:
        """Send letters back to their topics once the user agrees, and report.

        Raises InputError unless either ids, or a filter, or all were asked for.
        """
        ids = _chosen_ids(ids, wanted, take_all)

        def letters() -> Iterator[StoredLetter]:
            return map(self._topic.at, ids) if ids else self._topic.read(wanted)

        plan = requeue(letters(), self._read_topics, send=lambda record: None)
        self._report(plan, "to send back")
        if not plan.sent:
            raise NotReadyError("there is no dead letter to send back")
        if not yes:
            typer.confirm(f"Send {plan.sent.total():,} records?", abort=True)
        with closing(self._log.writer()) as writer:
            report = requeue_into(writer, letters(), self._read_topics)
        self._report(report, "[green]sent back[/green]")

    def _report(self, report: RequeueReport, what: str) -> None:
        for topic, num in report.sent.items():
            self._console.print(f"{what}: {num:,} to {topic}", highlight=False)
        for why, num in report.refused.most_common():
            self._console.print(
                f"[yellow]refused[/yellow]: {num:,}, the first is {report.examples[why]}: {why}",
                highlight=False,
            )


def _chosen_ids(ids: Sequence[str], wanted: Wanted, take_all: bool) -> Sequence[str]:
    """Ids or a filter: everything is sent only where that was said."""
    is_filtered = wanted != Wanted()
    if sum((bool(ids), is_filtered, take_all)) != 1:
        raise InputError(
            "say which dead letters: either their ids, or a filter (--reason, --topic, --since), "
            "or --all"
        )
    return list(dict.fromkeys(ids))


def _letters_table(summary: Summary) -> Table:
    table = Table(title="Dead letters, newest first", title_justify="left")
    table.add_column("id", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    for name in ("source", "reason"):
        table.add_column(name, overflow="fold")
    now_ms = time.time_ns() // 1_000_000
    for stored in summary.newest:
        table.add_row(
            stored.id,
            age_of(stored.set_aside_ms, now_ms),
            Text(_source(stored)),
            Text(printable(stored.letter.reason)),
        )
    return table


def _reasons_table(summary: Summary) -> Table:
    table = Table(title="By reason, numbers as #", title_justify="left")
    table.add_column("letters", justify="right")
    table.add_column("reason", overflow="fold")
    for reason, num in summary.reasons.most_common(NUM_REASONS):
        table.add_row(f"{num:,}", Text(printable(reason)))
    if (num_more := len(summary.reasons) - NUM_REASONS) > 0:
        table.add_row("…", f"and {num_more:,} rarer ones")
    return table


def _described(stored: StoredLetter) -> Iterator[str]:
    letter = stored.letter
    now_ms = time.time_ns() // 1_000_000
    yield f"id         {stored.id}"
    yield f"set aside  {_time(stored.set_aside_ms)}, {age_of(stored.set_aside_ms, now_ms)} ago"
    yield f"reason     {printable(letter.reason)}"
    yield f"source     {_source(stored)}"
    yield f"truncated  {printable(letter.truncated) or 'no'}"
    yield f"requeues   {num_requeues(letter)}"
    yield f"key        {readable(letter.key)}"
    yield f"headers    {len(letter.headers)}"
    for name, content in letter.headers:
        yield f"           {printable(name)}: {readable(content)}"
    yield f"value      {len(letter.value or b''):,} bytes"
    yield readable(letter.value, keep_lines=True)


def _source(stored: StoredLetter) -> str:
    source = stored.letter.source
    return f"{printable(source.topic)} {source.number}@{stored.letter.offset}"


def _time(moment_ms: int) -> str:
    return "–" if moment_ms < 0 else shown_time(moment_ms)
