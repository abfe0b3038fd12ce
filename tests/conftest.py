"""Settings of every test: one thread, and no deadlines, because a busy machine is no defect."""

from __future__ import annotations

import os

from hypothesis import settings

# As the command does, before anybody imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("reaseq", deadline=None)
settings.load_profile("reaseq")
