"""Shards: fixed partitions followed from the log to what is kept of them."""
