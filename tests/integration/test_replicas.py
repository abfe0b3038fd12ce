"""What Ray Serve really does when a replica goes; see `ray_apps.serving.replica`."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from ray import serve

from ray_apps.serving.replica import Replica


class Connection:
    """Leaves a file when it is closed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def close(self) -> None:
        self._file.write_text("closed")


class Plain(Replica):
    def __init__(self, folder: Path) -> None:
        self.hold(Connection(folder / "Plain"))


@serve.ingress()
class Ingress(Replica):
    def __init__(self, folder: Path, plain: object) -> None:
        self.hold(Connection(folder / "Ingress"))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return FastAPI()


@pytest.mark.usefixtures("ray_session")
def test_replicas_close_what_they_hold_when_the_application_goes(tmp_path: Path) -> None:
    """A plain one and an ingress: `__del__` is awaited to its end."""
    serve.start(http_options={"port": 0}, logging_config={"log_level": "WARNING"})
    plain = serve.deployment(Plain).bind(tmp_path)
    serve.run(serve.deployment(Ingress).bind(tmp_path, plain), name="closing")
    assert list(tmp_path.iterdir()) == []
    serve.shutdown()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "Plain": "closed",
        "Ingress": "closed",
    }
