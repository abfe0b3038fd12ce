"""From a user sequence to a slate: candidates, ranking, and the reason for each item."""
