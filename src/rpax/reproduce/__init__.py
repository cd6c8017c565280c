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

#: name -> (what it is in a line, ``module:variable`` of its experiment): deep environments, reproduced cell by cell
DEEP_EXPERIMENTS: dict[str, tuple[str, str]] = {
    "figure-4-storm": ("AD-RPG in STORM: self-play rises, cross-play stays low", "figure_4:STORM_EXPERIMENT"),
    "figure-4-cramped": ("CoMeDi and AD sabotage in cramped_room, AD-RPG does not", "figure_4:CRAMPED_EXPERIMENT"),
    "figure-6": ("cross-play of SP, AD and AD-RPG in Overcooked and Hanabi", "figure_6:EXPERIMENT"),
    "table-1": ("seven victims under three attacks in unobserved STORM", "table_1:EXPERIMENT"),
    "attack-cramped": ("AP and AP-RPG on self-play in cramped_room", "attack_cramped:EXPERIMENT"),
    "partner-play": ("AD-RPG with partner-play from 0 to 0.2", "partner_play:EXPERIMENT"),
    "sabotage": ("STORM with a cell in which either agent hurts both", "sabotage:EXPERIMENT"),
}
