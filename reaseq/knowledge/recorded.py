"""Knowledge that ships with the package, for machines where no language model runs.

`recorded.jsonl` holds one `ItemKnowledge` a line as a named model gave it, rejections included.
`python -m ray_apps.cli.record` makes the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from reaseq.events import Item
from reaseq.knowledge.item_knowledge import ItemKnowledge, KnowledgeKey, content_hash
from reaseq.knowledge.text_generator import TextGenerationError

RECORDED_FILE = "recorded.jsonl"


def recorded(content_hash: str) -> ItemKnowledge | None:
    """What was recorded about an item with this content; None when nothing was."""
    return read_recorded().get(content_hash)


@cache
def read_recorded() -> Mapping[str, ItemKnowledge]:
    """All that was recorded, by content hash."""
    lines = (files("reaseq.knowledge") / RECORDED_FILE).read_bytes().splitlines()
    found = [msgspec.json.decode(line, type=ItemKnowledge) for line in lines]
    return {one.content_hash: one for one in found}


class RecordedAgent:
    """Answers from the record as if it asked; see `KnowledgeAgent`."""

    def key(self, item: Item) -> KnowledgeKey | None:
        found = recorded(content_hash(item.title, item.description))
        return found.key if found else None

    async def run(self, item: Item) -> ItemKnowledge:
        found = recorded(content_hash(item.title, item.description))
        if found is None:
            raise TextGenerationError(f"nothing was recorded about {item.item_id}")
        return msgspec.structs.replace(found, item_id=item.item_id)
