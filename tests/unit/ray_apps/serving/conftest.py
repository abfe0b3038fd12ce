"""Serve's logger as it is at first, whatever other tests had imported and started before."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes its loggers out of the tree, and then `caplog` hears nothing of ours."""
    for name in ("ray", "ray.serve"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "level", logging.NOTSET)
        monkeypatch.setattr(logger, "disabled", False)
        logger.manager._clear_cache()  # type: ignore[attr-defined]
