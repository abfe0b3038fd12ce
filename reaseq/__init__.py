"""reaseq: a distributed, streaming recommender that reasons (after ReaSeq, arXiv 2512.21257)."""

__version__ = "0.1.0"
