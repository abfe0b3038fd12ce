"""Benchmarks: each module is a program; see README.md."""

from ray_apps.runtime.console_output import quiet_third_parties
from ray_apps.runtime.threads import one_thread

# As the `reaseq` command does, before anybody imports torch or Ray.
one_thread()
quiet_third_parties()
