"""What is kept for training: events and feature rows, and the join as of a moment."""
