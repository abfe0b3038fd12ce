"""What every client of kafka-python needs: how to connect, and errors that say what to check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import codec
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnsupportedCodecError

from reaseq.errors import NotReadyError
from streams.log.ports import LogError
from streams.settings import KafkaSettings

CODECS = {
    "snappy": (codec.has_snappy, "python-snappy"),
    "lz4": (codec.has_lz4, "lz4"),
    "zstd": (codec.has_zstd, "zstandard"),
}
"""How producers may compress, besides gzip: whether it can be read here, and the package for it."""


def missing_codecs() -> dict[str, str]:
    """The codecs that cannot be read here, each with the package that mends it."""
    return {name: package for name, (is_there, package) in CODECS.items() if not is_there()}


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """The options with which a client reaches the broker."""
    password = settings.sasl_password.get_secret_value() if settings.sasl_password else None
    options = {
        "bootstrap_servers": (settings.bootstrap_servers or "").split(","),
        "bootstrap_timeout_ms": int(settings.connect_timeout_s * 1000),
        "security_protocol": settings.security_protocol,
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": password,
        "ssl_cafile": str(settings.ssl_cafile) if settings.ssl_cafile else None,
    }
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def explained(settings: KafkaSettings) -> Iterator[None]:
    """Turn the client's "cannot connect" into a LogError that says what to look at."""
    try:
        yield
    except TopicAlreadyExistsError:
        raise
    except KafkaError as error:
        credentials = (
            "; a wrong SASL user or password looks the same"
            if settings.security_protocol.startswith("SASL")
            else ""
        )
        raise LogError(
            f"no Kafka broker answers at {settings.bootstrap_servers} over "
            f"{settings.security_protocol} ({error}): check that it runs and that "
            f"kafka.bootstrap_servers and kafka.security_protocol are right{credentials}"
        ) from error


@contextmanager
def codecs_named() -> Iterator[None]:
    """Turn a batch that cannot be unpacked into a NotReadyError that names the package."""
    try:
        yield
    except UnsupportedCodecError as error:
        packages = " ".join(missing_codecs().values())
        raise NotReadyError(
            f"a batch cannot be unpacked ({error}): pip install {packages}"
        ) from error
