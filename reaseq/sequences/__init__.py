"""User sequences: the newest N distinct events of a user, kept by an order-free merge."""
