"""Where candidates come from: popularity, co-occurrence, nearest representations."""
