"""The settings in force as TOML: what `reaseq settings` prints, and `--config` reads back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from reaseq.settings import Settings

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(settings: Settings) -> str:
    """One table a section. A setting without a value, and a secret, is a comment."""
    return "\n".join(_tables((), settings.model_dump(mode="json")))


def _tables(path: tuple[str, ...], values: dict[str, Any]) -> Iterator[str]:
    """A table and the tables below it, each as a text of its own."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    head = f"[{'.'.join(map(_key, path))}]\n" if path else ""
    lines = "".join(f"{_line(name, value)}\n" for name, value in plain.items())
    if lines:
        yield head + lines
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _tables((*path, name), value)


def _line(name: str, value: Any) -> str:
    if value is None:
        return f"# {name} is not set"
    if isinstance(value, str) and value and set(value) == {"*"}:
        return f"# {name} is set and secret"
    # Strings, numbers, truths and lists of them look alike in JSON and TOML.
    return f"{_key(name)} = {json.dumps(value, ensure_ascii=False)}"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
