"""Runs: configuration, run directories, checkpoints, metric sinks, and training as the user calls it."""
