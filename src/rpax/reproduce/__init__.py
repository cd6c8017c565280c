"""Experiments of the paper, run end to end and compared with what the paper says."""

#: name -> (what it is in a line, the modules that hold its experiments)
EXPERIMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "figure-2": ("AT sabotages a cooperative game, AT-RPG solves it", ("figure_2",)),
    "figure-12": ("AT-RPG's learning curves with one to four lookahead steps", ("figure_12",)),
    "figure-13": ("AD finds sabotage, AD-RPG finds two conventions", ("figure_13",)),
    "figure-14": ("six algorithms on a general-sum game", ("figure_14",)),
    "figure-17": ("rock-paper-scissors cycles, enough lookahead settles", ("figure_17",)),
    "matrix": (
        "all of these games (--network both: with MLPs too)",
        ("figure_2", "figure_12", "figure_13", "figure_14", "figure_17"),
    ),
}
