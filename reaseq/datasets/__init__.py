"""Logs from outside as events and items: the bundled data set, and any table with named columns."""
