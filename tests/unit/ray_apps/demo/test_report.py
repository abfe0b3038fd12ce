"""The report as programs and as people get it."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_apps.demo.report import (
    DemoReport,
    GeneratedReport,
    IntervalReport,
    KnowledgeReport,
    ModelReport,
    NewItemReport,
    Percentiles,
    ShownItem,
    ShownKnowledge,
    ShownUser,
    as_svg,
    day,
    intervals,
    qualities,
    show,
)
from reaseq.evaluation.bootstrap import Interval
from reaseq.evaluation.prequential import Estimate, Quality
from tests.printing import keeping_console, printed

NAMES = ("popularity", "ranker", "ranker_plain")


def estimates() -> dict[str, Estimate]:
    """One estimate a scorer, each with figures of its own."""
    return {
        name: Estimate(
            Interval(0.1 + n, 0.05 + n, 0.15 + n), Interval(0.01 + n, 0.005 + n, 0.02 + n)
        )
        for n, name in enumerate(NAMES)
    }


def report(**changes: object) -> DemoReport:
    """All that a demo finds."""
    found = intervals(estimates())
    whole = DemoReport(
        events_backfilled=1000,
        events_streamed=84_086,
        duplicates_sent=827,
        events_per_second=3195.2,
        freshness_ms=Percentiles.of([50.0, 60.0, 70.0]),
        dead_letters=4,
        dead_letter_reasons=["JSON is malformed"] * 4,
        sequence_mismatches=0,
        users=4372,
        orders_scored=3058,
        targets_scored=68_329,
        hit_rate_at_20={"popularity": 0.1},
        ndcg_at_20={"popularity": 0.01},
        intervals=found,
        gains_over_plain=found,
        recommend_ms=Percentiles.of([39.0]),
        knowledge=KnowledgeReport(25, 8, 25, 61.6, "vllm", "it is installed", "SmolLM2"),
        generated=GeneratedReport(4010, 80_200, 6974.9, 0.0273),
        new_item=NewItemReport("23562", "SET OF 6 RIBBONS", "15910", 6.27),
        models=[
            ModelReport("v0001", "2011-10-31", "ndcg_at_20", None, None, True, "the first ranker"),
            ModelReport("v0002", "2011-11-20", "ndcg_at_20", 0.06, 0.07, False, "not better"),
        ],
        left_out={},
        seconds={"start": 4.2, "train_1": 63.0},
        shown=[
            ShownUser(
                "12680", [ShownItem("1", "ALARM CLOCK")], [], [ShownItem("2", "LUNCH BOX")] * 2
            )
        ],
        knowledge_card=ShownKnowledge("1", "RIBBONS", {"with_what": "a gift"}, "SmolLM2", 40),
    )
    return msgspec.structs.replace(whole, **changes)


def shown(of: DemoReport, width: int = 160) -> str:
    """What is printed."""
    console = keeping_console(width)
    show(of, console)
    return printed(console)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_lie_within_their_samples(samples: list[float]) -> None:
    """The median not above the 99th percentile."""
    found = Percentiles.of(samples)
    assert round(min(samples), 2) <= found.p50 <= found.p99 <= round(max(samples), 2)
    assert found.num_samples == len(samples)


def test_without_samples_there_are_no_percentiles() -> None:
    """Not 0 ms, which would read like speed."""
    found = Percentiles.of([])
    assert math.isnan(found.p50)
    assert math.isnan(found.p99)
    assert found.num_samples == 0


def test_a_day_is_of_event_time_in_utc() -> None:
    """The last millisecond still belongs to it."""
    assert (day(0), day(86_400_000 - 1), day(86_400_000)) == (
        "1970-01-01",
        "1970-01-01",
        "1970-01-02",
    )


def test_ablations_come_with_intervals_and_others_plain() -> None:
    """As `report.json` has had them since 0.1."""
    quality = {name: Quality(0.123456, 0.0654321, 20, 5, 9) for name in NAMES}
    found = qualities(quality, estimates(), "ndcg")
    assert found["popularity"] == found["ranker"] == 0.06543
    assert found["ranker_plain"] == IntervalReport(2.01, 2.005, 2.02)


def test_intervals_are_by_metric_then_scorer() -> None:
    """Hit rate and NDCG are not swapped."""
    found = intervals(estimates())
    assert found["hit_rate_at_20"]["popularity"] == IntervalReport(0.1, 0.05, 0.15)
    assert found["ndcg_at_20"]["popularity"] == IntervalReport(0.01, 0.005, 0.02)


def test_programs_can_read_it_back() -> None:
    """JSON and back is the same report."""
    assert msgspec.json.decode(msgspec.json.encode(report()), type=DemoReport) == report()


def test_people_see_every_part() -> None:
    """Figures with their units, both verdicts, what was generated beside what was bought."""
    text = shown(report())
    for part in (
        "3,058 orders, 68,329 items",
        "84,086",
        "p50 60 ms, p99 70 ms",
        "25, of these 8 accepted, 25 valid JSON",
        "80,200 for 4,010 users",
        "of new items bought later, generated before",
        "new item 23562: from Kafka to a slate",
        "promoted: the first ranker",
        "refused: not better",
        "Alarm Clock",
        "Lunch Box",
        "with what",
        "start 4 s  train_1 63 s",
    ):
        assert part in text, part


def test_what_did_not_happen_is_not_shown() -> None:
    """No knowledge, no new item, nothing bought beyond a log: no row with a dash or a nought."""
    text = shown(
        report(
            knowledge=None,
            new_item=None,
            knowledge_card=None,
            generated=GeneratedReport(0, 0, 0.0, None),
        )
    )
    assert "knowledge from" not in text
    assert "new item" not in text
    assert "bought later" not in text


@pytest.mark.parametrize(("mismatches", "colour"), [(0, "32m"), (3, "31m")])
def test_a_mismatch_stands_out(mismatches: int, colour: str) -> None:
    """Green where online and batch agree, red where they do not."""
    console = keeping_console(160, force_terminal=True, color_system="standard")
    show(report(sequence_mismatches=mismatches), console)
    [line] = [one for one in printed(console).splitlines() if "unlike the batch" in one]
    assert f"{colour}{mismatches}" in line


def test_the_best_scorer_is_marked_and_plain_has_no_gain_over_itself() -> None:
    """Bold for the highest NDCG; a dash for the row that the gains are measured from."""
    console = keeping_console(160, force_terminal=True, color_system="standard")
    show(report(), console)
    lines = printed(console).splitlines()
    [plain] = [one for one in lines if "log alone" in one]
    [popular] = [one for one in lines if "popularity" in one]
    assert "\x1b[1;32m" in plain
    assert "–" in plain
    assert "\x1b[1;32m" not in popular
    assert "+0.0100 [+0.0050, +0.0200]" in popular


def test_the_picture_is_one_file_that_fetches_nothing() -> None:
    """Well-formed, and no font or script from elsewhere."""
    picture = as_svg(report())
    assert ET.fromstring(picture).tag.endswith("svg")
    assert "@font-face" not in picture
    assert "<script" not in picture
    assert "Alarm" in picture
