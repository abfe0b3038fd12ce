"""The log and the features: Kafka adapters, codecs, shards, replay, the Feast sink."""
