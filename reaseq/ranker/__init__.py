"""The ranker: target attention of every candidate over the user sequence."""
