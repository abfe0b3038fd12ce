"""The settings in force as TOML: what `reaseq settings` prints, and `--config` reads back."""

from __future__ import annotations

import json
from typing import Any

from reaseq.settings import Settings


def as_toml(settings: Settings) -> str:
    """One table a section. A setting without a value, and a secret, is a comment."""
    values = settings.model_dump(mode="json")
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    blocks = [_lines(plain)]
    blocks += [
        f"[{name}]\n{_lines(value)}" for name, value in values.items() if isinstance(value, dict)
    ]
    return "\n".join(blocks)


def _lines(values: dict[str, Any]) -> str:
    return "".join(f"{_line(name, value)}\n" for name, value in values.items())


def _line(name: str, value: Any) -> str:
    if value is None:
        return f"# {name} is not set"
    if isinstance(value, str) and value and set(value) == {"*"}:
        return f"# {name} is set and secret"
    return f"{name} = {json.dumps(value)}"
