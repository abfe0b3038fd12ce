"""The behaviour generator: behaviours beyond the log, by masked diffusion over items."""
