"""Settings of every test: no deadlines, because a busy machine is no defect."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("reaseq", deadline=None)
settings.load_profile("reaseq")
