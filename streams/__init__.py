"""The log and the features: Kafka adapters, codecs, shards, dead letters, replay, the Feast sink."""
