"""Peers in Python that `benchmarks` runs in environments of their own."""
