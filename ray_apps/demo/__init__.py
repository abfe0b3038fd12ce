"""The demo: the whole loop on real data, told as a story and written down as a report."""
