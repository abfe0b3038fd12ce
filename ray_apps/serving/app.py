"""The Serve application as one builder: `build_app(settings)`, started and stopped by its owner."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ray import serve
from ray.serve import Application

from ray_apps.quiet import hush
from ray_apps.serving.gateway import gateway_deployment
from ray_apps.serving.recommender import recommender_deployment
from reaseq.settings import Settings

APPLICATION = "reaseq"


def build_app(settings: Settings) -> Application:
    """The gateway with the recommender behind it."""
    recommender = recommender_deployment(settings).bind(settings)
    return gateway_deployment().bind(settings, recommender)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Run the application; yields its base URL. Ray must be initialised.

    Raises ValueError when the port is taken, naming the setting.
    """
    port = settings.serve.port or _free_port(settings.serve.host)
    _check_port(settings.serve.host, port)
    serve.start(
        http_options={"host": settings.serve.host, "port": port, "access_log": False},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    try:
        serve.run(build_app(settings), name=APPLICATION, route_prefix="/")
        yield f"http://{settings.serve.host}:{port}"
    finally:
        hush.begin()
        serve.shutdown()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise ValueError(
                f"port {port} on {host} is taken: stop what listens there or set serve.port "
                "(0 picks a free one)"
            ) from None
