"""Records the knowledge that ships with the package: `python -m ray_apps.cli.record`.

Asks the language model of the settings (by default the packaged small one in vLLM) about items of
the demo's shop: the best sellers of its history, and of what is first sold in the weeks that the
demo streams. Every answer goes into the file, rejected ones too.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pyarrow.compute as pc
from rich.progress import Progress

from ray_apps.cli.console import console, friendly_errors
from ray_apps.settings import Settings, load_settings
from ray_apps.text_generation.choose import available, open_text_generator
from reaseq.datasets.event_log import EventLog
from reaseq.datasets.online_retail import SPLIT_MS, read_online_retail
from reaseq.errors import NotReadyError
from reaseq.events import Item
from reaseq.knowledge import recorded
from reaseq.knowledge.knowledge_base import KnowledgeBase, KnowledgeStats, MemoryKnowledgeStore
from reaseq.knowledge.product_agent import ProductAgent
from reaseq.sequences.orders import best_sellers

NUM_BEST_SELLERS = 64
NUM_NEWCOMERS = 32

FILE = Path(recorded.__file__).with_name(recorded.RECORDED_FILE)


def items_to_record(log: EventLog, split_ms: int) -> list[Item]:
    """The most purchased items before the split, and of those first touched after it."""
    history, rest = log.between(None, split_ms), log.between(split_ms, None)
    is_known = pc.is_in(rest["item_id"], value_set=pc.unique(history["item_id"]))
    newcomers = rest.filter(pc.invert(is_known))
    best = best_sellers(history, NUM_BEST_SELLERS) + best_sellers(newcomers, NUM_NEWCOMERS)
    described = {row["item_id"]: Item(**row) for row in log.items.to_pylist()}
    return [described[item_id] for item_id, _ in best if item_id in described]


async def record(settings: Settings, items: list[Item], progress: Progress) -> KnowledgeStats:
    """Ask about the items and write the file."""
    task = progress.add_task("loading the language model", total=None)
    generator = await asyncio.to_thread(open_text_generator, settings.knowledge, settings.home)
    store = MemoryKnowledgeStore()
    base = KnowledgeBase(
        store, ProductAgent(generator), max_concurrent=settings.knowledge.max_concurrent
    )
    progress.update(task, description=f"asking {generator.model}", total=len(items))
    try:
        learned = await base.learn(
            items, lambda so_far: progress.update(task, completed=so_far.num_done)
        )
    finally:
        await generator.close()
    lines = [msgspec.json.encode(one) for one in sorted(store.written, key=lambda k: k.item_id)]
    FILE.write_bytes(b"".join(line + b"\n" for line in lines))
    return learned


def main() -> None:
    """Record with the settings of file and environment."""
    with friendly_errors():
        settings = load_settings()
        choice = available(settings.knowledge)
        if choice.source not in ("vllm", "endpoint"):
            raise NotReadyError(f"there is no language model to ask: {choice.why}")
        items = items_to_record(read_online_retail(), SPLIT_MS)
        with Progress(console=console) as progress:
            learned = asyncio.run(record(settings, items, progress))
    console.print(
        f"{FILE.name}: {learned.num_accepted} accepted and {learned.num_rejected} rejected "
        f"of {learned.num_items}; {learned.num_tokens / learned.duration_s:.0f} tokens/s"
    )
