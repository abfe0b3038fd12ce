"""A training in three lines."""

from __future__ import annotations

from ray_apps.registry.registry import Registry


def train(registry: Registry, **tags: str) -> str:
    """Begin, write a folder, complete."""
    with registry.begin({"seed": 7}) as run:
        run.folder.mkdir(parents=True)
        (run.folder / "manifest.json").write_text("{}")
        run.complete(tags)
    return run.version
