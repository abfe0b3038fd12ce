"""`reaseq.settings.toml`: what is printed can be read back."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from ray_apps.settings import Settings, load_settings
from reaseq.settings.toml import to_toml

DEFAULT = Settings()
LABELLED = DEFAULT.model_copy(
    update={
        "pools": DEFAULT.pools.model_copy(
            update={
                "llm": DEFAULT.pools.llm.model_copy(
                    update={"node_labels": {"reaseq.io/nodes": 'a "b" ü'}, "resources": {"x": 0.5}}
                )
            }
        )
    }
)


@pytest.mark.parametrize("settings", [DEFAULT, LABELLED], ids=["default", "labelled"])
def test_what_is_printed_can_be_read_back(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every section and pool, with names that TOML wants in quotes."""
    for name in [name for name in os.environ if name.startswith("REASEQ_")]:
        monkeypatch.delenv(name)
    settings = settings.at_home(tmp_path)
    file = tmp_path / "settings.toml"
    file.write_text(to_toml(settings))
    assert load_settings(file) == settings


def test_secrets_and_what_is_not_set_are_comments() -> None:
    """A printed secret would end in somebody's terminal history."""
    kafka = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u"}
    secret = Settings.model_validate({"kafka": {**kafka, "sasl_password": "hunter2"}})
    text = to_toml(secret)
    assert "hunter2" not in text
    assert "# sasl_password is set and secret" in text
    assert "sasl_password" not in tomllib.loads(text)["kafka"]
