"""Kills every part of a running stream at random moments and checks that nothing shows."""
