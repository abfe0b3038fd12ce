"""Benchmarks: each module is a program; see README.md."""

from ray_apps.quiet import quiet_third_parties
from ray_apps.threads import one_thread

# As the `reaseq` command does, before anybody imports torch or Ray.
one_thread()
quiet_third_parties()
