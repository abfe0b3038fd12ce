"""The demo: the whole loop on real data, told as a run and written down as a report."""
