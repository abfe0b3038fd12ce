"""Every candidate source by name, and the list of those that a model folder holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from reaseq.candidates.co_occurrence import CoOccurrence
from reaseq.candidates.generated import GeneratedItems
from reaseq.candidates.nearest import NearestItems
from reaseq.candidates.popularity import Popularity
from reaseq.candidates.source import CandidateSource
from reaseq.errors import InputError
from reaseq.vocabulary import ItemVocabulary

SOURCES: dict[str, type[CandidateSource]] = {
    source.name: source for source in (CoOccurrence, NearestItems, GeneratedItems, Popularity)
}
"""Another source is another row."""

FILE_NAME = "sources.json"


def save_sources(folder: Path, sources: Sequence[CandidateSource]) -> None:
    """Write sources into an existing folder, and in `sources.json` which they are."""
    for source in sources:
        source.save(folder)
    names = [source.name for source in sources]
    (folder / FILE_NAME).write_text(json.dumps(names), encoding="utf-8")


def load_sources(folder: Path, vocabulary: ItemVocabulary) -> list[CandidateSource]:
    """Read what `save_sources` wrote with the same vocabulary, in the same order.

    Raises InputError for a source that this version does not know.
    """
    names: list[str] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    unknown = set(names) - set(SOURCES)
    if unknown:
        raise InputError(f"{folder} has candidate sources {sorted(unknown)}: update reaseq")
    return [SOURCES[name].load(folder, vocabulary) for name in names]
