"""The demo: the whole loop on real data, as a run and written down as a report."""
