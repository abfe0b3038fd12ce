"""Where settings come from.

Precedence, lowest first: the defaults in code, one TOML file (`--config` or `REASEQ_CONFIG`), the
environment (`REASEQ_SECTION__KEY`, e.g. `REASEQ_KAFKA__BOOTSTRAP_SERVERS`).
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as PydanticSettingsError

from reaseq.errors import InputError
from reaseq.settings.section import Section

ENV_PREFIX = "REASEQ_"
CONFIG_VARIABLE = "REASEQ_CONFIG"

SettingsT = TypeVar("SettingsT", bound=Section)


class SettingsError(InputError):
    """Some setting is wrong; the message names each field and says what is allowed."""


class _EnvironmentOnTop(BaseSettings):
    """Lays the environment over the values given (the config file's)."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(settings_type: type[SettingsT], config: Path | None = None) -> SettingsT:
    """Read `settings_type`, whose fields are sections, from defaults, TOML file and environment.

    Raises SettingsError, naming every wrong field, for an unknown key, a wrong value or a config
    file that cannot be read or is not TOML.
    """
    _refuse_unknown_variables(settings_type)
    file = config or (Path(os.environ[CONFIG_VARIABLE]) if CONFIG_VARIABLE in os.environ else None)
    # The order of the bases is that of precedence for `settings_customise_sources`.
    loader = type("Loader", (_EnvironmentOnTop, settings_type), {})
    try:
        loaded = loader(**_read_toml(file) if file else {})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    except PydanticSettingsError as error:
        raise SettingsError(f"wrong settings in the environment: {error}") from None
    return settings_type.model_validate(loaded.model_dump())


def _refuse_unknown_variables(settings_type: type[Section]) -> None:
    """Inside a section the model itself refuses unknown keys; the sections are checked here."""
    for name in os.environ:
        section = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if name.startswith(ENV_PREFIX) and section not in settings_type.model_fields:
            if name != CONFIG_VARIABLE:
                raise SettingsError(f"{name}: unknown setting; `reaseq settings` lists them all")


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise SettingsError(f"config file {file} does not exist") from None
    except OSError as error:
        raise SettingsError(f"config file {file} cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config file {file} is not valid TOML: {error}") from None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"])
        variable = ENV_PREFIX + "__".join(str(part) for part in problem["loc"]).upper()
        reason = "unknown setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"  {field or 'settings'}: {reason} (config file, or {variable})")
    return "\n".join(["wrong settings:", *lines])
