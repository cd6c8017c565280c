"""Recordings: episodes as compact documents that can be shown anywhere and simulated again."""
