"""Ray Data jobs: the stream, the backfill, and generating behaviours for many users."""
