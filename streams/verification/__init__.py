"""Whether what is served is what the events make of it."""
