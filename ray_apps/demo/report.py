"""What the demo found: `report.json` for programs, tables for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO

import msgspec
import numpy as np
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from reaseq.evaluation.prequential import Quality

PICTURE_WIDTH = 100
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


class ShownItem(msgspec.Struct):
    """An item with its name, as a person would meet it."""

    item_id: str
    title: str


class ShownUser(msgspec.Struct):
    """A user's latest purchases beside what the system recommends now."""

    user_id: str
    bought: list[ShownItem]
    recommended: list[ShownItem]


class Report(msgspec.Struct):
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
    hit_rate_at_20: dict[str, float]
    ndcg_at_20: dict[str, float]
    recommend_ms: Percentiles
    models: list[ModelReport]
    left_out: dict[str, int]
    seconds: dict[str, float]
    shown: list[ShownUser]


def day(time_ms: int) -> str:
    """An event time as an ISO date."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def qualities(report: dict[str, Quality]) -> tuple[dict[str, float], dict[str, float]]:
    """Hit rate and NDCG by scorer."""
    hits = {name: round(quality.hit_rate, 5) for name, quality in report.items()}
    return hits, {name: round(quality.ndcg, 5) for name, quality in report.items()}


def show(report: Report, console: Console) -> None:
    """Print the report."""
    console.print()
    for table in (_quality(report), _stream(report), _models(report)):
        console.print(table)
    for user in report.shown:
        console.print(_user(user))
    seconds = "  ".join(f"{stage} {took:.0f} s" for stage, took in report.seconds.items())
    console.print(f"[dim]{seconds}[/dim]")


def as_svg(report: Report) -> str:
    """The printed report as a picture that fetches nothing when it is looked at."""
    console = Console(record=True, file=StringIO(), width=PICTURE_WIDTH, force_terminal=True)
    show(report, console)
    # Rich points to web fonts; any fixed-width font of the reader's does.
    return re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="make demo"), flags=re.S)


def _quality(report: Report) -> Table:
    table = Table(
        title=f"Ranking quality: {report.orders_scored:,} orders, {report.targets_scored:,} items "
        "bought, each scored before it was applied",
        title_justify="left",
    )
    table.add_column("ranked by")
    table.add_column("hit rate @ 20", justify="right")
    table.add_column("NDCG @ 20", justify="right")
    best = max(report.ndcg_at_20, key=lambda name: report.ndcg_at_20[name])
    for name, hit_rate in report.hit_rate_at_20.items():
        style = "bold green" if name == best else ""
        row = (name, f"{hit_rate:.4f}", f"{report.ndcg_at_20[name]:.4f}")
        table.add_row(*row, style=style)
    return table


def _stream(report: Report) -> Table:
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


def _models(report: Report) -> Table:
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
    grid.add_column("bought last", ratio=1)
    grid.add_column("recommended now", ratio=1)
    grid.add_row("[bold]bought last[/bold]", "[bold]recommended now[/bold]")
    for place in range(max(len(user.bought), len(user.recommended))):
        left = user.bought[place].title if place < len(user.bought) else ""
        right = user.recommended[place].title if place < len(user.recommended) else ""
        grid.add_row(left.title(), right.title())
    return Panel(grid, title=f"user {user.user_id}", title_align="left", border_style="dim")
