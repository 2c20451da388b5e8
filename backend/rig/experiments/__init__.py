"""Fault experiments that are run by hand: they need mounts, a false clock, servers of their own, and some minutes."""
