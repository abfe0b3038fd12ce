"""Forgetting a user: who asked for it, and taking what there is of them out of every store."""
