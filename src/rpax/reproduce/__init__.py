"""Experiments of the paper, run end to end and compared with what the paper says."""

#: name -> (what it is in a line, module that runs it)
EXPERIMENTS: dict[str, tuple[str, str]] = {}
