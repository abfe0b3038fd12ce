"""What the demo found: `report.json` for programs, tables for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from itertools import zip_longest
from typing import Literal

import msgspec
import numpy as np
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from reaseq.evaluation.prequential import Estimate, Quality

Metric = Literal["hit_rate", "ndcg"]

ABLATION = "ranker_"
"""The ranker without some of its parts has a name that begins so."""

SCORER_NAMES = {
    "ranker": "ranker: log, knowledge, generated",
    "ranker_plain": "ranker: log alone",
    "ranker_knowledge": "ranker: log, knowledge",
    "ranker_generated": "ranker: log, generated",
}

PICTURE_WIDTH = 120
"""Columns of the report as a picture."""


class Percentiles(msgspec.Struct):
    """Median and 99th percentile of `num_samples` durations."""

    p50: float
    p99: float
    num_samples: int

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Percentiles:
        """Percentiles of durations in milliseconds; NaN without any."""
        if not samples_ms:
            return cls(float("nan"), float("nan"), 0)
        p50, p99 = np.percentile(samples_ms, [50, 99])
        return cls(round(float(p50), 2), round(float(p99), 2), len(samples_ms))


class ModelReport(msgspec.Struct):
    """One trained model and what became of it."""

    version: str
    trained_up_to: str
    metric: str
    value: float | None
    champion_value: float | None
    promoted: bool
    why: str


class IntervalReport(msgspec.Struct):
    """A figure with its 95% bootstrap interval over users."""

    value: float
    low: float
    high: float


class KnowledgeReport(msgspec.Struct):
    """What the product agent did."""

    items: int
    accepted: int
    valid_json: int
    tokens_per_second: float
    source: str
    why: str
    model: str | None


class GeneratedReport(msgspec.Struct):
    """What the behaviour generator did.

    The hit rate is over items that users bought in the stream and their sequence did not hold: the
    share that was among their generated behaviours at that moment.
    """

    users: int
    behaviours: int
    behaviours_per_second: float
    hit_rate_at_20: float | None


class NewItemReport(msgspec.Struct):
    """One item from the topic to somebody's slate."""

    item_id: str
    title: str
    user_id: str
    seconds_to_first_recommendation: float


class ShownKnowledge(msgspec.Struct):
    """A knowledge card."""

    item_id: str
    title: str
    answers: dict[str, str]
    model: str
    num_tokens: int


class ShownItem(msgspec.Struct):
    """An item with its name, as a person would meet it."""

    item_id: str
    title: str


class ShownUser(msgspec.Struct):
    """A user's latest purchases beside what is generated and recommended for them now."""

    user_id: str
    bought: list[ShownItem]
    generated: list[ShownItem]
    recommended: list[ShownItem]


class DemoReport(msgspec.Struct):
    """`report.json`. Durations in milliseconds unless they say otherwise."""

    events_backfilled: int
    events_streamed: int
    duplicates_sent: int
    events_per_second: float
    freshness_ms: Percentiles
    dead_letters: int
    dead_letter_reasons: list[str]
    sequence_mismatches: int
    users: int
    orders_scored: int
    targets_scored: int
    hit_rate_at_20: dict[str, float | IntervalReport]
    """Plain for the baselines and `ranker`; with intervals for the ranker without some parts."""
    ndcg_at_20: dict[str, float | IntervalReport]
    intervals: dict[str, dict[str, IntervalReport]]
    """By metric and scorer, all of them."""
    gains_over_plain: dict[str, dict[str, IntervalReport]]
    """By metric and scorer: paired differences from `ranker_plain`."""
    recommend_ms: Percentiles
    knowledge: KnowledgeReport | None
    generated: GeneratedReport
    new_item: NewItemReport | None
    models: list[ModelReport]
    left_out: dict[str, int]
    seconds: dict[str, float]
    shown: list[ShownUser]
    knowledge_card: ShownKnowledge | None


def day(time_ms: int) -> str:
    """An event time as an ISO date."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def qualities(
    report: dict[str, Quality], estimates: dict[str, Estimate], metric: Metric
) -> dict[str, float | IntervalReport]:
    """A metric by scorer: the ablations of the ranker with intervals, the others plain."""
    return {
        name: _interval(estimates[name], metric)
        if name.startswith(ABLATION)
        else round(getattr(quality, metric), 5)
        for name, quality in report.items()
    }


def intervals(estimates: dict[str, Estimate]) -> dict[str, dict[str, IntervalReport]]:
    """Both metrics with intervals, by scorer."""
    metrics: dict[str, Metric] = {"hit_rate_at_20": "hit_rate", "ndcg_at_20": "ndcg"}
    return {
        title: {name: _interval(estimate, metric) for name, estimate in estimates.items()}
        for title, metric in metrics.items()
    }


def _interval(estimate: Estimate, metric: Metric) -> IntervalReport:
    value, low, high = getattr(estimate, metric)
    return IntervalReport(round(value, 5), round(low, 5), round(high, 5))


def show(report: DemoReport, console: Console) -> None:
    """Print the report."""
    console.print()
    for table in (_quality(report), _stream(report), _reasoning(report), _models(report)):
        console.print(table)
    if report.knowledge_card:
        console.print(_card(report.knowledge_card))
    for user in report.shown:
        console.print(_user(user))
    seconds = "  ".join(f"{stage} {took:.0f} s" for stage, took in report.seconds.items())
    console.print(f"[dim]{seconds}[/dim]")


def as_svg(report: DemoReport) -> str:
    """The printed report as a picture that fetches nothing when it is looked at."""
    console = Console(record=True, file=StringIO(), width=PICTURE_WIDTH, force_terminal=True)
    show(report, console)
    # Rich points to web fonts; any fixed-width font of the reader's does.
    return re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="make demo"), flags=re.S)


def _quality(report: DemoReport) -> Table:
    table = Table(
        title=f"Ranking quality: {report.orders_scored:,} orders, {report.targets_scored:,} items "
        "bought, each scored before it was applied",
        title_justify="left",
    )
    table.add_column("ranked by")
    table.add_column("hit rate @ 20", justify="right")
    table.add_column("NDCG @ 20", justify="right")
    table.add_column("NDCG gain over plain, 95%", justify="right")
    hits, ndcgs = report.intervals["hit_rate_at_20"], report.intervals["ndcg_at_20"]
    gains = report.gains_over_plain["ndcg_at_20"]
    best = max(ndcgs, key=lambda name: ndcgs[name].value)
    for name in ndcgs:
        style = "bold green" if name == best else ""
        gain = gains[name]
        shown = f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
        table.add_row(
            SCORER_NAMES.get(name, name),
            f"{hits[name].value:.4f}",
            f"{ndcgs[name].value:.4f}",
            "–" if name == "ranker_plain" else shown,
            style=style,
        )
    return table


def _stream(report: DemoReport) -> Table:
    table = Table(title="Stream", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    fresh, answer = report.freshness_ms, report.recommend_ms
    mismatches = report.sequence_mismatches
    rows = {
        "events backfilled": f"{report.events_backfilled:,}",
        "events streamed through Kafka": f"{report.events_streamed:,}",
        "of these sent twice on purpose": f"{report.duplicates_sent:,}",
        "events per second, until readable online": f"{report.events_per_second:,.0f}",
        "freshness: produced → readable online": f"p50 {fresh.p50:.0f} ms, p99 {fresh.p99:.0f} ms",
        "recommendation over HTTP": f"p50 {answer.p50:.0f} ms, p99 {answer.p99:.0f} ms",
        "dead letters": f"{report.dead_letters}",
        f"online sequences unlike the batch's, of {report.users:,}": (
            f"[{'green' if mismatches == 0 else 'bold red'}]{mismatches}[/]"
        ),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _reasoning(report: DemoReport) -> Table:
    """What the two reasoning parts did, and how soon a new item was shown."""
    table = Table(title="Reasoning", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    known, made, new = report.knowledge, report.generated, report.new_item
    if known:
        table.add_row("knowledge from", f"{known.source} {known.model or ''}")
        accepted = f"{known.accepted} accepted, {known.valid_json} valid JSON"
        table.add_row("items described by the agent", f"{known.items}, of these {accepted}")
        table.add_row("tokens per second", f"{known.tokens_per_second:,.0f}")
    table.add_row("generated behaviours", f"{made.behaviours:,} for {made.users:,} users")
    table.add_row("generated per second", f"{made.behaviours_per_second:,.0f}")
    if made.hit_rate_at_20 is not None:
        share = f"{made.hit_rate_at_20:.4f}"
        table.add_row("of new items bought later, generated before", share)
    if new:
        seconds = f"{new.seconds_to_first_recommendation:.1f} s"
        table.add_row(f"new item {new.item_id}: from Kafka to a slate", seconds)
    return table


def _card(card: ShownKnowledge) -> Panel:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="bold")
    grid.add_column()
    for question, answer in card.answers.items():
        grid.add_row(question.replace("_", " "), answer)
    title = f"knowledge: {card.title.title()} [dim]by {card.model}[/dim]"
    return Panel(grid, title=title, title_align="left", border_style="dim")


def _models(report: DemoReport) -> Table:
    table = Table(title="Models", title_justify="left")
    for column in ("version", "trained up to", "NDCG @ 20", "champion's", "outcome"):
        table.add_column(column)
    for model in report.models:
        outcome = "[green]promoted[/green]" if model.promoted else "[yellow]refused[/yellow]"
        table.add_row(
            model.version,
            model.trained_up_to,
            "–" if model.value is None else f"{model.value:.4f}",
            "–" if model.champion_value is None else f"{model.champion_value:.4f}",
            f"{outcome}: {model.why}",
        )
    return table


def _user(user: ShownUser) -> Panel:
    grid = Table.grid(padding=(0, 3))
    columns = {
        "bought last": user.bought,
        "generated": user.generated,
        "recommended now": user.recommended,
    }
    for _ in columns:
        grid.add_column(ratio=1)
    grid.add_row(*(f"[bold]{name}[/bold]" for name in columns))
    for row in zip_longest(*columns.values()):
        grid.add_row(*(item.title.title() if item else "" for item in row))
    return Panel(grid, title=f"user {user.user_id}", title_align="left", border_style="dim")
