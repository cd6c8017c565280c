"""Measurements of speed: how long an update takes, what it consists of, how long it takes to compile."""
