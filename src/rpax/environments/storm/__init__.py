"""STORM, the paper's small version."""
