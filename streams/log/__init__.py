"""The log: ports, adapters for a real broker and for memory, and what travels through it."""
