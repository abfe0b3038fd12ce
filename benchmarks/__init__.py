"""Benchmarks: each module is a program; see README.md."""

import os

from ray_apps.quiet import quiet_third_parties

# As the `reaseq` command does, before anybody imports torch or Ray.
os.environ.setdefault("OMP_NUM_THREADS", "1")
quiet_third_parties()
