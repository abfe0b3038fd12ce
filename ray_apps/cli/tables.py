"""The tables that the command line prints."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.table import Table

from ray_apps.cli.doctor import Finding
from ray_apps.cli.status import Status
from reaseq.events import shown_time


def findings_table(findings: Sequence[Finding]) -> Table:
    """What the doctor found."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column()
    table.add_column()
    for finding in findings:
        sign = "[green]✔[/green]" if finding.ok else "[bold red]✘[/bold red]"
        detail = finding.detail if finding.ok else f"{finding.detail}\n→ {finding.fix}"
        table.add_row(sign, finding.name, detail)
    return table


def status_tables(status: Status) -> list[Table]:
    """The system at a glance, and its partitions."""
    return [_overview(status), _partitions(status)]


def _overview(status: Status) -> Table:
    table = Table(show_header=False, title="reaseq", title_justify="left")
    table.add_column()
    table.add_column()
    healthy = "[green]answers[/green]" if status.healthy else "[bold red]no answer[/bold red]"
    table.add_row("application", f"{status.url} {healthy}, process {status.pid}")
    table.add_row(
        "model", f"champion {status.champion or '–'}, serving {status.serving_version or '–'}"
    )
    table.add_row("generator", f"serving {status.generator or '–'}")
    table.add_row("knowledge", status.knowledge_model or "–")
    table.add_row("missing", ", ".join(status.missing) or "nothing")
    table.add_row("versions", ", ".join(status.versions) or "–")
    table.add_row("lag", f"{sum(p.lag for p in status.partitions):,} records not yet checkpointed")
    for topic in dict.fromkeys(p.topic for p in status.partitions):
        taken = sum(p.num_records for p in status.partitions if p.topic == topic)
        table.add_row(topic, f"{taken:,} records taken in")
    table.add_row("dead letters", f"{sum(p.num_dead_letters for p in status.partitions):,}")
    if num_lost := sum(p.num_lost for p in status.partitions):
        table.add_row("lost", f"{num_lost:,} records left the log before they were read")
    if newest_ms := max((p.newest_event_time_ms or 0 for p in status.partitions), default=0):
        table.add_row("newest event", _shown_newest(newest_ms, time.time() * 1000))
    return table


def _shown_newest(newest_ms: int, now_ms: float) -> str:
    """When it happened; what lies in the future stands out."""
    if newest_ms <= now_ms:
        return shown_time(newest_ms)
    return f"[bold red]{shown_time(newest_ms)}, in the future[/bold red]: some clock is wrong"


def _partitions(status: Status) -> Table:
    table = Table(title="Partitions, as of their last checkpoints", title_justify="left")
    table.add_column("topic", no_wrap=True)
    table.add_column("no.")
    for column in ("records", "changed", "dead", "lag", "fresh p50", "fresh p99", "age"):
        table.add_column(column, justify="right")
    for p in status.partitions:
        table.add_row(
            p.topic,
            str(p.number),
            f"{p.num_records:,}",
            f"{p.num_accepted:,}",
            f"{p.num_dead_letters:,}",
            f"{p.lag:,}",
            _ms(p.freshness_p50_ms),
            _ms(p.freshness_p99_ms),
            "–" if p.checkpoint_age_s is None else f"{p.checkpoint_age_s:.0f} s",
        )
    return table


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
