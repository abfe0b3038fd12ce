"""What shards do with the records of their topics: one file per handler, behind one protocol."""
