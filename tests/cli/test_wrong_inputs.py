"""Every kind of wrong input ends in one line on stderr that names value and remedy, and leaves nothing behind."""

import io
import json
import pathlib
import shutil
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest

from rpax._version import __version__
from rpax.cli.main import main
from rpax.environments import own_files, registry
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare


class Wrong(NamedTuple):
    """One kind of wrong input: what it is, the arguments, and what its message must say: the value and the remedy.

    ``FILES`` in an argument stands for the folder of :func:`files`.
    """

    what: str
    arguments: list[str]
    says: tuple[str, ...]


AT = ["train", "at-rpg", "matrix/figure-2"]
AD = ["train", "ad-rpg", "matrix/figure-2"]
STORM = ["train", "sp", "storm"]
BENCH = ["bench", "sp", "storm"]
CUSTOM = ["train", "at-rpg", "matrix/custom", "--payoffs"]
ATTACK = ["train", "ap", "matrix/figure-2", "--exact", "--updates", "1", "--victim"]

COMMANDS_AND_NAMES = [
    Wrong("a command that does not exist", ["trian"], ("command 'trian' is unknown", "did you mean 'train'?")),
    Wrong("an unknown algorithm", ["train", "at-rgp", "matrix/figure-2"], ("'at-rgp'", "did you mean 'at-rpg'?")),
    Wrong("an algorithm like none", ["train", "zzz", "matrix/figure-2"], ("'zzz'", "known: sp, br, ap")),
    Wrong("an unknown environment", ["train", "sp", "matrix/figure2"], ("'matrix/figure2'", "'matrix/figure-2'?")),
    Wrong("no environment", ["train", "sp"], ("'environment' is missing", "see `rpax list`")),
    Wrong("nothing to train", ["train"], ("'algorithm' is missing", "see `rpax list`")),
    Wrong("one name too many", [*AT, "extra"], ("extra", "see `rpax train --help`")),
    Wrong("an unknown option", [*AT, "--lookahed", "3"], ("--lookahed", "did you mean '--lookahead'?")),
    Wrong("an unknown option with =", [*AT, "--discont=0.9"], ("--discont", "did you mean '--discount'?")),
    Wrong("an unknown option of another command", ["list", "--jsno"], ("--jsno", "did you mean '--json'?")),
    Wrong("a value for a flag", [*AT, "--json=yes"], ("yes", "see `rpax train --help`")),
    Wrong("no value for an option", [*AT, "--lookahead"], ("'--lookahead'", "see `rpax train --help`")),
    Wrong("something to list", ["list", "games"], ("games", "see `rpax list --help`")),
    Wrong("an unknown experiment", ["reproduce", "figure-3"], ("'figure-3'", "did you mean 'figure-13'?")),
    Wrong("a file without the name it registers", ["train", "sp", "mine.py"], ("'mine.py'", "write mine.py:NAME")),
    Wrong("a family of environments", ["train", "sp", "hanabi"], ("'hanabi'", "known: hanabi/3x3, hanabi/4x4")),
    Wrong("a family and a slash", ["train", "sp", "overcooked/"], ("known: overcooked/cramped_room", "/custom; rpax")),
    Wrong("a benchmark of nothing", ["bench", "sp", "matrix/figure3"], ("'matrix/figure3'", "did you mean")),
]

VALUES = [
    Wrong("lookahead 0", [*AT, "--lookahead", "0"], ("lookahead 0", "a whole number of at least 1")),
    Wrong("a negative lookahead", [*AT, "--lookahead", "-1"], ("lookahead -1", "of at least 1")),
    Wrong("updates 0", [*AT, "--updates", "0"], ("updates 0", "of at least 1")),
    Wrong("more environments than an index holds", [*AT, "--envs", "2147483648"], ("2147483648", "a whole number")),
    Wrong("steps 0", [*AT, "--steps", "0"], ("steps 0", "of at least 1")),
    Wrong("a negative rate", [*AT, "--base-rate", "-0.1"], ("base_rate -0.1", "a number above 0")),
    Wrong("a rate of 0", [*AT, "--manipulator-rate", "0"], ("manipulator_rate 0", "a number above 0")),
    Wrong("a rate that is not a number", [*AT, "--lookahead-rate", "nan"], ("lookahead_rate nan", "above 0")),
    Wrong("an infinite rate", [*AT, "--critic-rate", "inf"], ("critic_rate inf", "above 0")),
    Wrong("a discount above 1", [*AT, "--discount", "1.5"], ("discount 1.5", "a number from 0 to 1")),
    Wrong("a negative decay", [*AT, "--dice-decay", "-0.5"], ("dice_decay -0.5", "a number from 0 to 1")),
    Wrong("a decay over less than nothing", [*AT, "--shaping-updates", "-1"], ("shaping_updates -1", "at least 0")),
    Wrong("an entropy that falls never", [*AT, "--entropy-start", "0.5"], ("entropy_start 0.5", "entropy_updates")),
    Wrong(
        "an entropy that rises",
        [*AT, "--entropy", "0.5", "--entropy-updates", "9", "--entropy-start", "0.1"],
        ("entropy_start 0.1 is less than entropy 0.5", "raise it"),
    ),
    Wrong("less than no updates of entropy", [*AT, "--entropy-updates", "-1"], ("entropy_updates -1", "at least 0")),
    Wrong("more than all episodes", [*AT, "--exploring-starts", "2"], ("exploring_starts 2", "from 0 to 1")),
    Wrong("an average that never moves", [*AT, "--outer-average", "1"], ("outer_average 1", "less than 1")),
    Wrong("an average of exact gradients", [*AT, "--exact", "--outer-average", "0.9"], ("outer_average", "exact mode")),
    Wrong("a step that has no derivative", [*AT, "--base-epsilon-root", "0"], ("base_epsilon_root 0", "above 0")),
    Wrong("a negative entropy", [*AT, "--entropy", "-0.01"], ("entropy -0.01", "a number of at least 0")),
    Wrong("partner play of 1", [*AT, "--partner-play", "1"], ("partner_play 1.0", "from 0 to less than 1")),
    Wrong("negative partner play", [*AT, "--partner-play", "-0.1"], ("partner_play -0.1", "less than 1")),
    Wrong("partner play that leaves nothing", [*AD, "--partner-play", "0.5"], ("0.5", "use less than 1/2 = 0.5")),
    Wrong("a population of one", [*AD, "--population", "1"], ("population 1", "at least 2")),
    Wrong("a negative cross-play weight", [*AD, "--crossplay-weight", "-1"], ("crossplay_weight -1", "at least 0")),
    Wrong("self-play of 1", [*AT, "--victim-self-play", "1"], ("victim_self_play 1", "less than 1")),
    Wrong("no seeds", [*AT, "--seeds", "0"], ("seeds 0", "how many seeds")),
    Wrong("a negative seed", [*AT, "--seed", "-1"], ("seed -1", "a whole number from 0 to")),
    Wrong("no minutes", [*AT, "--minutes", "0"], ("minutes 0", "above 0")),
    Wrong("a layer of no width", [*AT, "--hidden-sizes", "8", "0"], ("hidden_sizes (8, 0)", "like 64 64")),
    Wrong("no layers", [*AT, "--hidden-sizes"], ("hidden_sizes ()", "like 64 64")),
    Wrong("one episode of evaluation", [*AT, "--evaluation-episodes", "1"], ("evaluation_episodes 1", "at least 2")),
    Wrong("no repetitions", ["bench", "sp", "matrix/figure-2", "--repetitions", "0"], ("repetitions 0", "at least 1")),
    Wrong(
        "no compilation", ["bench", "sp", "matrix/figure-2", "--compilations", "0"], ("compilations 0", "at least 1")
    ),
]

TYPES = [
    Wrong("text for a whole number", [*AT, "--lookahead", "four"], ("--lookahead 'four'", "give INT")),
    Wrong("a fraction for a whole number", [*AT, "--seeds", "1.5"], ("--seeds '1.5'", "give INT")),
    Wrong("text for a number", [*AT, "--base-rate", "fast"], ("--base-rate 'fast'", "give FLOAT")),
    Wrong("nothing for a number", [*AT, "--base-rate="], ("--base-rate ''", "give FLOAT")),
    Wrong("text among widths", [*AT, "--hidden-sizes", "8", "b"], ("--hidden-sizes", "'b'", "give INT")),
    Wrong("neither true nor false", [*AT, "--normalize", "maybe"], ("'maybe'", "give one of False, True")),
    Wrong("an unknown preset", [*AT, "--preset", "slow"], ("'slow'", "give one of fast, paper")),
    Wrong("unknown sides", [*AT, "--sides", "left"], ("'left'", "give one of both, single")),
    Wrong("an unknown optimiser", [*AT, "--base-optimizer", "lion"], ("'lion'", "give one of adam, sgd")),
    Wrong("an unknown sink", [*AT, "--sinks", "mlflow"], ("'mlflow'", "tensorboard, wandb")),
    Wrong("text for an update", ["resume", "FILES/finished", "--until", "end"], ("--until 'end'", "give INT")),
]

SETTINGS = [
    Wrong("an unknown --set key", [*AT, "--set", "lookahed=3"], ("'lookahed'", "did you mean 'lookahead'?")),
    Wrong("--set without =", [*AT, "--set", "lookahead"], ("'lookahead' has no '='", "write --set lookahead=4")),
    Wrong("--set to nothing", [*AT, "--set", "updates="], ("updates: the value is empty", "lookahead=4")),
    Wrong(
        "options that are no mapping",
        [*AT, "--set", "environment_options=5", "--option", "horizon=4"],
        ("environment_options 5", "a mapping like {horizon: 20}"),
    ),
    Wrong(
        "options in a file that are no mapping",
        [*AT, "--config", "FILES/options.yaml", "--option", "horizon=4"],
        ("environment_options 5", "a mapping like {horizon: 20}"),
    ),
    Wrong(
        "a mapping for a name",
        [*AT, "--config", "FILES/network.yaml", "--set", "network={a: 1}"],
        ("network {'a': 1}", "give one of"),
    ),
    Wrong("--set without YAML", [*AT, "--set", "hidden_sizes=["], ("'['", "like '[64, 64]'")),
    Wrong("--set to a day that never was", [*AT, "--set", "seed=2001-99-99"], ("'2001-99-99'", "quote")),
    Wrong("--set to the wrong type", [*AT, "--set", "lookahead=four"], ("lookahead 'four'", "a whole number")),
    Wrong("--set to a truth value", [*AT, "--set", "updates=true"], ("updates True", "a whole number")),
    Wrong("--set to a number too large", [*AT, "--set", f"entropy=1{'0' * 400}"], ("entropy 1000", "a number")),
    Wrong("--set of lists in lists", [*AT, "--set", "sinks=[[1]]"], ("sinks ([1],)", "tensorboard and wandb")),
    Wrong("a seed twice", [*AT, "--set", "seeds=[3, 3]"], ("seeds (3, 3)", "different")),
    Wrong("no config file", [*AT, "--config", "FILES/none.yaml"], ("none.yaml", "give the path of a YAML file")),
    Wrong("a folder for a config file", [*AT, "--config", "FILES"], ("config file", "give the path of a YAML file")),
    Wrong("an unknown key in a file", [*AT, "--config", "FILES/unknown.yaml"], ("'lookahed'", "mean 'lookahead'?")),
    Wrong("a list for a key", [*AT, "--config", "FILES/list-key.yaml"], ("line 1 has [1, 2] for a key", "write li")),
    Wrong("a key twice in a file", [*AT, "--config", "FILES/twice.yaml"], ("'lookahead' twice", "write lines like")),
    Wrong("a list for a file", [*AT, "--config", "FILES/list.yaml"], ("[1, 2]", "write lines like 'lookahead: 4'")),
    Wrong("a file that is no YAML", [*AT, "--config", "FILES/broken.yaml"], ("line 2 is no YAML", "write lines like")),
    Wrong("a file that is no text", [*AT, "--config", "FILES/binary.yaml"], ("binary.yaml", "not UTF-8 text")),
    Wrong(
        "the wrong type in a file", [*AT, "--config", "FILES/type.yaml"], ("discount 'high'", "a number from 0 to 1")
    ),
    Wrong("out of range in a file", [*AT, "--config", "FILES/range.yaml"], ("discount 1.5", "a number from 0 to 1")),
    Wrong("a choice that is none in a file", [*AT, "--config", "FILES/choice.yaml"], ("'slow'", "fast, paper")),
]

COMBINATIONS = [
    Wrong("an option the algorithm lacks", [*AT[:1], "sp", AT[2], "--population", "3"], ("'population'", "takes none")),
    Wrong("partner play of AT", [*AT[:1], "at", AT[2], "--partner-play", "0.1"], ("'partner_play'", "it takes sides")),
    Wrong(
        "sides of AD", [*AD[:1], "ad", AD[2], "--sides", "single"], ("'sides'", "always play both seats; leave it out")
    ),
    Wrong("joint influence by sampling", [*AT, "--influence", "joint"], ("'joint'", "add --exact or drop it")),
    Wrong("exact mode of a large game", ["train", "sp", "mine/walk", "--exact"], ("'mine/walk'", "leave exact out")),
    Wrong("tables for a large game", ["train", "sp", "mine/walk", "--network", "tabular"], ("'tabular'", "use 'mlp'")),
    Wrong(
        "an option that files hold",
        ["train", "FILES/good.yaml", AT[2], "--population", "3"],
        ("population", "edges of"),
    ),
    Wrong("an option of a shown file", ["show", "FILES/good.yaml", "--sides", "both"], ("sides", "write it into")),
    Wrong(
        "convolutions of another network",
        [*STORM, "--channels", "8"],
        ("channels has no effect with network mlp", "give --network cnn"),
    ),
    Wrong("memory of another network", [*STORM, "--memory-units", "8"], ("memory_units has no", "--network gru")),
    *[
        Wrong(
            f"{setting} of plain steps",
            [*STORM, f"--{setting.replace('_', '-')}", value],
            (f"{setting} has no effect with base_update pg", "leave it out or give --base-update ppo"),
        )
        for setting, value in (("ppo_epochs", "2"), ("ppo_minibatches", "2"), ("ppo_clip", "0.1"))
    ],
    Wrong("a sink without its package", [*AT, "--sinks", "wandb"], ("wandb", "install rpax[wandb]")),
]

PAYOFFS = [
    Wrong(
        "payoffs for a game that has its own", [*AT, "--payoffs", "[[1,0],[0,1]]"], ("no payoffs", "use matrix/custom")
    ),
    Wrong("no payoffs", ["train", "at-rpg", "matrix/custom"], ("'matrix/custom' needs payoffs", "give --payoffs")),
    Wrong("a payoff that is not a number", [*CUSTOM, "[[1,NaN],[0,1]]"], ("payoffs contain nan", "a finite number")),
    Wrong("an infinite payoff", [*CUSTOM, "[[1,Infinity],[0,1]]"], ("payoffs contain inf", "a finite number")),
    Wrong("a payoff beyond all numbers", [*CUSTOM, f"[[1{'0' * 400},0],[0,1]]"], ("payoffs [[1000", "give [[…], […]]")),
    Wrong(
        "a payoff of too many digits", [*CUSTOM, f"[[1{'0' * 5000},0],[0,1]]"], ("payoffs '[[1000", "write '[[1, 0]")
    ),
    Wrong("ragged payoffs", [*CUSTOM, "[[1,0],[0]]"], ("payoffs [[1, 0], [0]]", "rows of equal length")),
    Wrong("words for payoffs", [*CUSTOM, '[["a",0],[0,1]]'], ("payoffs [['a', 0], [0, 1]]", "matrix of numbers")),
    Wrong("digits in quotes", [*CUSTOM, '[["1",0],[0,1]]'], ("payoffs [['1', 0], [0, 1]]", "matrix of numbers")),
    Wrong("one action", [*CUSTOM, "[[1],[0]]"], ("payoffs are 2×1", "at least 2 actions")),
    Wrong("a vector", [*CUSTOM, "[1,2]"], ("shape (2,)", "give one n×m matrix")),
    Wrong("nothing", [*CUSTOM, "[]"], ("shape (0,)", "give one n×m matrix")),
    Wrong("three matrices", [*CUSTOM, json.dumps([[[1, 0], [0, 1]]] * 3)], ("shape (3, 2, 2)", "or a pair")),
    Wrong("two shapes", [*CUSTOM, "[[[1,0],[0,1]],[[1,0,1],[0,1,1]]]"], ("[1, 0, 1]", "of the same shape")),
    Wrong("payoffs that are no JSON", [*CUSTOM, "[[1,"], ("'[[1,'", "write '[[1, 0], [0, 1]]'")),
    Wrong("a number for payoffs", [*CUSTOM, "5"], ("'5'", "give '[[1, 0], [0, 1]]' or a .json")),
    Wrong("no such file", [*CUSTOM, "FILES/none.json"], ("none.json", "check the path")),
    Wrong(
        "another kind of file",
        [*CUSTOM, "FILES/payoffs.txt"],
        ("no file of a known kind", "or a .json, .npy or .csv file"),
    ),
    Wrong("a file that is no JSON", [*CUSTOM, "FILES/broken.json"], ("broken.json", "write '[[1, 0], [0, 1]]'")),
    Wrong("a JSON file of another thing", [*CUSTOM, "FILES/mapping.json"], ("{'a': 1}", "give [[…], […]]")),
    Wrong("words in a CSV file", [*CUSTOM, "FILES/words.csv"], ("line 2 'a,b'", "write lines like")),
    Wrong("a ragged CSV file", [*CUSTOM, "FILES/ragged.csv"], ("[[1.0, 0.0], [1.0]]", "rows of equal length")),
    Wrong("objects in an NPY file", [*CUSTOM, "FILES/pickled.npy"], ("pickled.npy", "save it with numpy.save")),
    Wrong("an NPY file that is none", [*CUSTOM, "FILES/broken.npy"], ("broken.npy", "save it with numpy.save")),
    Wrong("text in an NPY file", [*CUSTOM, "FILES/text.npy"], ("'1'", "a matrix of numbers")),
    Wrong("complex numbers in an NPY file", [*CUSTOM, "FILES/complex.npy"], ("1.+0.j", "a matrix of numbers")),
]

FIXED_AGENTS = [
    Wrong("no victim", ["train", "ap", "matrix/figure-2"], ("needs a fixed victim", "give --victim RUN:AGENT")),
    Wrong("no partner", ["train", "br", "matrix/figure-2"], ("needs a fixed partner", "give --partner RUN:AGENT")),
    Wrong("a victim nobody attacks", [*AT, "--victim", "uniform"], ("no fixed agent 'victim'", "leave --victim out")),
    Wrong("too many probabilities", [*ATTACK, "[0.5,0.2,0.3]"], ("[0.5, 0.2, 0.3]", "one probability an action")),
    Wrong("a negative probability", [*ATTACK, "[-0.5,1.5]"], ("[-0.5, 1.5]", "at least 0 that add up to 1")),
    Wrong("probabilities of more than 1", [*ATTACK, "[0.5,0.6]"], ("[0.5, 0.6]", "add up to 1")),
    Wrong("no probabilities", [*ATTACK, "[NaN,1]"], ("[nan, 1]", "add up to 1")),
    Wrong("words for probabilities", [*ATTACK, '["a","b"]'], ("['a', 'b']", "write '[0.5, 0.5]'")),
    Wrong("probabilities that are no JSON", [*ATTACK, "[0.5"], ("'[0.5'", "write '[0.5, 0.5]'")),
    Wrong("a victim that is no agent", [*ATTACK, "nobody"], ("'nobody'", "write RUN:AGENT")),
    Wrong("a victim of no run", [*ATTACK, "nowhere:victim"], ("nowhere", "that `rpax train` wrote")),
    Wrong("an agent the run lacks", [*ATTACK, "FILES/finished:viktim"], ("'viktim'", "did you mean 'victim'?")),
    Wrong("a seed the run lacks", [*ATTACK, "FILES/finished:7:victim"], ("no seed 7", "it has 0, 1")),
    Wrong("a seed that is no number", [*ATTACK, "FILES/finished:x:victim"], ("seed 'x'", "write RUN:SEED:AGENT")),
    Wrong("a victim of the other seat", [*ATTACK, "FILES/finished:adversary"], ("plays seat 1 only", "seat 0")),
    Wrong(
        "a victim of both seats", [*ATTACK, "FILES/finished:victim", "--sides", "both"], ("seat 1", "--sides single")
    ),
    Wrong(
        "a victim of another game",
        ["train", "ap", "extensive/g2", "--victim", "FILES/finished:victim"],
        ("'extensive/g2'", "give an agent of this environment"),
    ),
    Wrong(
        "a victim before its run has ended", [*ATTACK, "FILES/unfinished:victim"], ("no policies yet", "rpax resume")
    ),
    Wrong("no policy file", [*ATTACK, "FILES/none.safetensors"], ("none.safetensors", "check the path")),
    Wrong("garbage for a policy", [*ATTACK, "FILES/garbage.safetensors"], ("garbage.safetensors", "write it again")),
    Wrong("half a policy file", [*ATTACK, "FILES/half.safetensors"], ("half.safetensors", "write it again")),
    Wrong(
        "arrays of another policy", [*ATTACK, "FILES/swapped.safetensors"], ("swapped.safetensors", "write it again")
    ),
    Wrong("arrays that are no policy", [*ATTACK, "FILES/arrays.safetensors"], ("arrays.safetensors", "write it again")),
    Wrong(
        "a policy of a newer rpax",
        [*ATTACK, "FILES/newer.safetensors"],
        ("format 99", f"use rpax {__version__}, which wrote it"),
    ),
]

OBJECTIVES = [
    Wrong(f"an objective with {what}", ["train", f"FILES/{file}", "matrix/figure-2"], (file, *says))
    for what, file, says in [
        ("no file", "none.yaml", ("give the path of a YAML file",)),
        ("an unknown agent", "agent.yaml", ("partner 'vicitm'", "did you mean 'victim'?")),
        ("an unknown key", "edge-key.yaml", ("'wieght'", "did you mean 'weight'?")),
        ("an unknown key beside edges", "key.yaml", ("'agent'", "did you mean 'agents'?")),
        ("an unknown role", "role.yaml", ("'boss'", "use one of base, manipulator, fixed")),
        ("a weight of 0", "weight-0.yaml", ("weight 0", "leave out edges without weight")),
        ("a weight that is not a number", "weight-nan.yaml", ("weight nan", "finite")),
        ("seat 2", "seat.yaml", ("seats [2]", "0")),
        ("a learner that is fixed", "fixed.yaml", ("'victim' is fixed", "give it the role 'base'")),
        ("a manipulator that shapes nobody", "shapes.yaml", ("manipulator", "add shapes=")),
        ("no edges", "no-edges.yaml", ("'edges' is missing", "add it")),
        ("edges that are no list", "edges.yaml", ("edges 5", "must be a list")),
        ("broken YAML", "broken.yaml", ("line 2 is no YAML", "write lines like")),
        ("a key twice", "twice-agents.yaml", ("'agents' twice", "write lines like")),
        ("text only", "text.yaml", ("'self-play'", "a mapping with the keys")),
    ]
]

PLACES = [
    Wrong("a run directory in use", [*AT, "--out", "FILES/finished"], ("finished exists", "choose another --out")),
    Wrong("a file for a run directory", [*AT, "--out", "FILES/good.yaml"], ("good.yaml exists", "another --out")),
    Wrong(
        "a run directory in a file", [*AT, "--out", "FILES/good.yaml/run"], ("good.yaml/run", "choose another --out")
    ),
    Wrong("nothing to resume", ["resume", "nowhere"], ("nowhere does not exist", "that `rpax train` wrote")),
    Wrong("no run to resume", ["resume", "FILES"], ("has no config.yaml", "that `rpax train` wrote")),
    Wrong("a file to resume", ["resume", "FILES/good.yaml"], ("good.yaml", "that `rpax train` wrote")),
    Wrong("a file to replay", ["replay", "FILES/good.yaml"], ("good.yaml is a file", "that `rpax train` wrote")),
    Wrong("no run to certify", ["certify", "FILES"], ("has no config.yaml", "that `rpax train` wrote")),
    Wrong("nothing to certify", ["certify"], ("Missing from rpax certify", "see `rpax certify --help`")),
    Wrong("a run to certify before it has ended", ["certify", "FILES/unfinished"], ("no policies yet", "rpax resume")),
    Wrong("a picture that is none", ["show", "sp", "--out", "sp.pdf"], ("'.pdf'", "end its name in .png or .svg")),
    Wrong("a picture without suffix", ["show", "sp", "--out", "sp"], ("'sp' has no suffix", ".png or .svg")),
    Wrong("a picture in no folder", ["show", "sp", "--out", "a/sp.png"], ("no folder 'a'", "make it first")),
    Wrong("an algorithm to show that is none", ["show", "at-rgp"], ("'at-rgp'", "did you mean 'at-rpg'?")),
    Wrong(
        "partner play of a shown AD", ["show", "ad", "--partner-play", "0.1"], ("'partner_play'", "it takes population")
    ),
]

RUNS = [
    Wrong(
        "going on to where it has been",
        ["resume", "FILES/finished", "--until", "2"],
        ("at update 4", "--until 4 or more"),
    ),
    Wrong("going on to update 0", ["resume", "FILES/finished", "--until", "0"], ("until 0", "whole number of updates")),
    Wrong("going on for no time", ["resume", "FILES/finished", "--minutes", "0"], ("minutes 0", "above 0")),
    *[
        Wrong(f"a checkpoint with {what}", ["resume", f"FILES/{run}", "--until", "9"], ("update-000000004", *says))
        for what, run, says in [
            ("a flipped byte", "flipped", ("does not match its checksum", "remove it to go on from the one before")),
            ("its end cut off", "truncated", ("does not match its checksum", "remove it")),
            ("no manifest", "no-manifest", ("cannot be read", "remove it")),
            ("a manifest that is no JSON", "broken-manifest", ("manifest.json is damaged", "remove it")),
            ("a newer format", "newer", ("format 99", "use rpax 9.0")),
        ]
    ],
    Wrong(
        "another network",
        ["resume", "FILES/other-network", "--until", "6"],
        ("network in config.yaml is 'mlp' now and was 'tabular' until update 4", "set it back"),
    ),
    Wrong("a damaged config", ["resume", "FILES/broken-config"], ("'lookahed'", "did you mean 'lookahead'?")),
    Wrong("damaged results", ["certify", "FILES/broken-results"], ("results.json", "`rpax resume` the run")),
]

DEEP = [
    Wrong(
        "an option that the environment lacks",
        [*STORM, "--option", "horizn=4"],
        ("no option 'horizn'", "it takes horizon"),
    ),
    Wrong("an option without a value", [*STORM, "--option", "horizon"], ("'horizon'", "write --option horizon=40")),
    Wrong("an option out of range", [*STORM, "--option", "horizon=0"], ("horizon 0", "a whole number from 3")),
    Wrong("an option of another kind", [*STORM, "--option", "coins=many"], ("'many'", "give fixed or shuffled")),
    Wrong("payoffs of a larger game", [*STORM, "--payoffs", "[[1,0,0],[0,1,0]]"], ("2×3", "give 2×2")),
    Wrong("parts of a plain setting", [*STORM, "--set", "network.x=1"], ("'network.x'", "write --set network=")),
    Wrong("no layout", ["train", "sp", "overcooked/custom"], ("needs the option layout", "give --option layout=")),
    Wrong(
        "a layout like another", ["train", "sp", "overcooked/cramped_rom"], ("did you mean 'overcooked/cramped_room'",)
    ),
    Wrong(
        "minibatches that do not divide",
        [*STORM, "--base-update", "ppo", "--envs", "6", "--ppo-minibatches", "4"],
        ("ppo_minibatches 4", "envs 6", "change one"),
    ),
    Wrong(
        "memory where all is seen", ["train", "sp", "matrix/figure-2", "--network", "gru"], ("'gru'", "use 'tabular'")
    ),
    Wrong("a table of a deep game", [*STORM, "--network", "tabular"], ("network 'tabular'", "use 'mlp'")),
    Wrong("convolutions without images", [*STORM, "--network", "cnn"], ("'cnn'", "use 'mlp'")),
    Wrong("an option that is empty", [*STORM, "--option", "coins="], ("coins: the value is empty", "horizon=40")),
    Wrong("a benchmark of an option out of range", [*BENCH, "--option", "horizon=1"], ("horizon 1", "from 3")),
    Wrong(
        "a benchmark of an attack on nobody",
        ["bench", "ap", "storm", "--victim", "nowhere:victim"],
        ("nowhere", "that `rpax train` wrote"),
    ),
    Wrong("a benchmark's preset", [*BENCH, "--preset", "fast"], ("--preset", "presets are for `rpax train`")),
    Wrong(
        "a replay of a game that is not drawn",
        ["replay", "FILES/undrawn", "--out", "new/pictures"],
        ("own/fine' does not draw itself", "give it a method render"),
    ),
    Wrong("a replay of no run", ["replay", "nowhere"], ("nowhere", "that `rpax train` wrote")),
]

DRAWN = ["train", "sp", "overcooked/custom", "--option"]
COOKING = ["train", "sp", "overcooked/cramped_room", "--option"]
COOKING_V2 = ["train", "sp", "overcooked_v2/cramped_room", "--option"]

KITCHENS = [
    Wrong("a layout with one start", [*DRAWN, "layout=FILES/one-start.txt"], ("only one agent", "mark exactly two")),
    Wrong("a layout without a pot", [*DRAWN, "layout=FILES/no-pot.txt"], ("no pot", "draw at least one P")),
    Wrong(
        "a station out of reach",
        [*DRAWN, "layout=FILES/far-station.txt"],
        ("no agent can stand next to the delivery at line 2, column 7", "put floor beside it"),
    ),
    Wrong("a layout in no text file", [*DRAWN, "layout=/some/dir"], ("'/some/dir'", "whose name ends in .txt")),
    Wrong("a layout that is empty", [*DRAWN, "layout="], ("layout: the value is empty", "horizon=40")),
    Wrong("a layout file that is none", [*DRAWN, "layout=FILES/none.txt"], ("none.txt", "check the path")),
    Wrong("shaping of no kind", [*COOKING, "shaping=jaxmrl"], ("shaping 'jaxmrl'", "did you mean 'jaxmarl'?")),
    Wrong("cooking for no time", [*COOKING, "horizon=0"], ("horizon 0", "give 1 or more")),
    Wrong("cooking for ever", [*COOKING, "horizon=99999999999"], ("horizon 99999999999", "give at most 10000")),
    Wrong("V2 for ever", [*COOKING_V2, f"horizon={2**40}"], (f"horizon {2**40}", "give at most 10000")),
    Wrong(
        "a view beyond the kitchen", [*COOKING_V2, "agent_view_size=1000000"], ("_view_size 1000000", "give at most 5")
    ),
    Wrong("no such option of V2", [*COOKING_V2, "view=2"], ("no option 'view'", "it takes horizon, agent_view_size")),
    Wrong("no such size of Hanabi", ["train", "sp", "hanabi/9x9"], ("'hanabi/9x9'", "did you mean 'hanabi/")),
]

OWN_FILES = [
    Wrong(f"{command}: {what}", [command, "sp", f"FILES/own.py:own/{name}"], (f"own/{name}': {method} raised {error}",))
    for command, what, name, method, error in [
        ("train", "a step that fails", "step", "step", "AttributeError: "),
        ("train", "a reset that fails", "reset", "reset", "ZeroDivisionError: division by zero"),
        ("train", "observations that fail", "observe", "observe", "KeyError: 'seen'"),
        ("train", "legal actions that fail", "legal_actions", "legal_actions", "IndexError"),
        ("train", "a factory that fails", "factory", "its factory", "ValueError: of two"),
        ("train", "another library's game that fails", "adapted", "its reset", "ZeroDivisionError"),
        ("bench", "a step that fails", "step", "step", "AttributeError: "),
    ]
]

CASES = [
    *DEEP,
    *OWN_FILES,
    *KITCHENS,
    *COMMANDS_AND_NAMES,
    *VALUES,
    *TYPES,
    *SETTINGS,
    *COMBINATIONS,
    *PAYOFFS,
    *FIXED_AGENTS,
    *OBJECTIVES,
    *PLACES,
    *RUNS,
]

TEXTS = {
    "unknown.yaml": "lookahed: 3\n",
    "list-key.yaml": "[1, 2]: 3\n",
    "twice.yaml": "lookahead: 3\nlookahead: 4\n",
    "list.yaml": "[1, 2]\n",
    "broken.yaml": "agents: {a: base}\n}\n",
    "type.yaml": "discount: high\n",
    "range.yaml": "discount: 1.5\n",
    "choice.yaml": "preset: slow\n",
    "options.yaml": "environment_options: 5\n",
    "network.yaml": "network: mlp\n",
    "good.yaml": "agents: {a: base}\nedges: [{learner: a, beneficiary: a, partner: a}]\n",
    "agent.yaml": "agents: {victim: base}\nedges: [{learner: victim, beneficiary: victim, partner: vicitm}]\n",
    "edge-key.yaml": "agents: {a: base}\nedges: [{learner: a, beneficiary: a, partner: a, wieght: 1}]\n",
    "key.yaml": "agent: {a: base}\nedges: []\n",
    "role.yaml": "agents: {a: boss}\nedges: [{learner: a, beneficiary: a, partner: a}]\n",
    "weight-0.yaml": "agents: {a: base}\nedges: [{learner: a, beneficiary: a, partner: a, weight: 0}]\n",
    "weight-nan.yaml": "agents: {a: base}\nedges: [{learner: a, beneficiary: a, partner: a, weight: .nan}]\n",
    "seat.yaml": "agents: {a: base}\nedges: [{learner: a, beneficiary: a, partner: a, seats: [2]}]\n",
    "fixed.yaml": "agents: {victim: fixed, a: base}\nedges: [{learner: victim, beneficiary: a, partner: victim}]\n",
    "shapes.yaml": "agents: {a: base, m: manipulator}\nedges:\n"
    "  - {learner: a, beneficiary: a, partner: m}\n  - {learner: m, beneficiary: a, partner: a}\n",
    "no-edges.yaml": "agents: {a: base}\n",
    "edges.yaml": "agents: {a: base}\nedges: 5\n",
    "twice-agents.yaml": "agents: {a: base}\nagents: {b: base}\nedges: []\n",
    "text.yaml": "self-play\n",
    "payoffs.txt": "[[1, 0], [0, 1]]\n",
    "broken.json": "[[1, 0], [0,\n",
    "mapping.json": '{"a": 1}\n',
    "words.csv": "1,0\na,b\n",
    "ragged.csv": "1,0\n1\n",
    "broken.npy": "1 0\n0 1\n",
    "one-start.txt": "WWPWW\nO  AO\nW   W\nWBWXW\n",
    "no-pot.txt": "WWWWW\nOA AO\nW   W\nWBWXW\n",
    "far-station.txt": "WWPWWWW\nOA AOWX\nW   WWW\nWBWWWWW\n",
    "garbage.safetensors": "these are no tensors\n",
    "own.py": """
import jax.numpy as jnp
import rpax


class Fine(rpax.Environment):
    spaces = (rpax.SeatSpace((2,), 3), rpax.SeatSpace((2,), 3))
    horizon = 2

    def __init__(self, name):
        self.name = name

    def reset(self, key):
        return {"time": jnp.zeros((), jnp.int32)}

    def step(self, key, state, actions):
        return rpax.Transition({"time": state["time"] + 1}, jnp.ones(2), state["time"] >= 1)

    def observe(self, state):
        return jnp.ones(2), jnp.ones(2)


class Step(Fine):
    def step(self, key, state, actions):
        return state.time


class Reset(Fine):
    def reset(self, key):
        return 1 / 0


class Observe(Fine):
    def observe(self, state):
        return state["seen"]


class LegalActions(Fine):
    def legal_actions(self, state):
        raise IndexError


class Adapted:
    agents, max_steps = ("a", "b"), 2
    step = action_space = observation_space = print

    def reset(self, key):
        return 1 / 0


def fails(name):
    raise ValueError("of two\\nlines")


rpax.register("own/fine", Fine)
rpax.register("own/step", Step)
rpax.register("own/reset", Reset)
rpax.register("own/observe", Observe)
rpax.register("own/legal_actions", LegalActions)
rpax.register("own/adapted", lambda name: Adapted())
rpax.register("own/factory", fails)
""",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, finished_run: pathlib.Path) -> pathlib.Path:
    """A folder of wrong files, of a finished run, and of runs that were damaged."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00lookahead")
    for name, array in {
        "pickled.npy": np.array([[1, None], [0, 1]], dtype=object),
        "text.npy": np.array([["1", "0"], ["0", "1"]]),
        "complex.npy": np.array([[1, 0], [0, 1j]]),
    }.items():
        np.save(folder / name, array, allow_pickle=True)
    runs = ["finished", "unfinished", "flipped", "truncated", "no-manifest", "broken-manifest", "newer"]
    for name in [*runs, "other-network", "broken-config", "broken-results", "undrawn"]:
        shutil.copytree(finished_run, folder / name, ignore=shutil.ignore_patterns("plots"))
    _damage_runs(folder)
    _damage_policies(folder)
    return folder


def _damage_runs(folder: pathlib.Path) -> None:
    for name in ("results.json", "policies"):
        (folder / "unfinished" / name).rename(folder / "unfinished" / f"{name}.away")
    last = "checkpoints/update-000000004"
    state = folder / "flipped" / last / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    state = folder / "truncated" / last / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-10])
    (folder / "no-manifest" / last / "manifest.json").unlink()
    (folder / "broken-manifest" / last / "manifest.json").write_text("{")
    newer = folder / "newer" / last / "manifest.json"
    newer.write_text(json.dumps(json.loads(newer.read_text()) | {"schema": 99, "rpax": "9.0"}))
    config = folder / "other-network" / "config.yaml"
    config.write_text(config.read_text().replace("network: tabular", "network: mlp"))
    config = folder / "undrawn" / "config.yaml"
    config.write_text(config.read_text().replace("matrix/figure-2", f"{folder}/own.py:own/fine"))
    config = folder / "broken-config" / "config.yaml"
    config.write_text(config.read_text().replace("lookahead:", "lookahed:"))
    (folder / "broken-results" / "results.json").write_text('{"status": "finished", "update": 4')


def _damage_policies(folder: pathlib.Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    good = folder / "finished" / "policies" / "seed-0" / "victim.safetensors"
    with safe_open(good, framework="numpy") as file:
        header = json.loads(file.metadata()["rpax"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    (folder / "half.safetensors").write_bytes(good.read_bytes()[:-5])
    save_file(arrays, folder / "arrays.safetensors")
    save_file(arrays, folder / "newer.safetensors", metadata={"rpax": json.dumps(header | {"schema": 99})})
    narrow = {name: array[:, :1].copy() for name, array in arrays.items()}
    # Format 1 has no checksum that would notice it.
    header = {name: value for name, value in header.items() if name not in ("rpax", "sha256")} | {"schema": 1}
    save_file(narrow, folder / "swapped.safetensors", metadata={"rpax": json.dumps(header)})


def contents(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file, but for what Python keeps of imported ones."""
    found = [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    return {str(path): (path.stat().st_size, 0 if path.is_dir() else path.stat().st_mtime_ns) for path in found}


def ids(cases: Iterable[Wrong]) -> list[str]:
    return [case.what for case in cases]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_wrong_input_is_one_line_that_names_value_and_remedy_and_changes_nothing(
    case: Wrong, files, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    walk = registry.Entry("not a table", "nowhere:nothing")
    monkeypatch.setattr(registry, "ENVIRONMENTS", registry.ENVIRONMENTS | {"mine/walk": walk})
    monkeypatch.setattr(own_files, "_imported", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    reads_files = any("FILES" in argument for argument in case.arguments)
    before = contents(files) if reads_files else {}

    status = main([argument.replace("FILES", str(files)) for argument in case.arguments])

    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert status == 2, output.err
    assert output.out == ""
    assert len(lines) == 1, lines
    assert lines[0].startswith("rpax: ")
    for part in case.says:
        assert part in lines[0]
    assert (contents(files) if reads_files else {}) == before
    assert not list(tmp_path.rglob("*")), "something was left behind"


def test_the_table_has_no_kind_twice():
    assert len(set(ids(CASES))) == len(CASES) >= 45


NO_MEMORY = {
    "JAX": (
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.\nallocation: 1"),
        "Out of memory allocating 99 bytes",
    ),
    "NumPy": (MemoryError("Unable to allocate 9. GiB for an array"), "Unable to allocate 9. GiB for an array"),
    "Python": (MemoryError(), "no more can be had"),
}


@pytest.mark.parametrize("whose", list(NO_MEMORY))
def test_too_little_memory_is_one_line_and_leaves_no_run_directory(whose, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    error, lacking = NO_MEMORY[whose]

    def save(folder: pathlib.Path, *others: Any) -> None:
        folder.mkdir()
        raise error

    monkeypatch.setattr("rpax.runs.session.save_checkpoint", save)
    assert main([*AT, "--exact", "--updates", "1", "--out", "new/run", "--quiet"]) == 2
    assert capsys.readouterr().err == f"rpax: not enough memory ({lacking}); lower --envs, --steps or --seeds\n"
    assert not list(tmp_path.iterdir())


def test_a_first_update_that_fails_leaves_a_folder_of_the_users_empty_as_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()

    def advance(self: Any, state: Any, updates: int) -> Any:
        assert list((tmp_path / "mine" / "checkpoints").iterdir()), "the start is saved before the first update"
        raise NO_MEMORY["JAX"][0]

    monkeypatch.setattr("rpax.training.trainer.Trainer.advance", advance)
    assert main([*AT, "--exact", "--updates", "1", "--out", "mine", "--quiet"]) == 2
    assert "not enough memory" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_what_went_wrong_in_rpax_itself_keeps_its_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rpax.runs.session.make_problem", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([*AT, "--exact", "--updates", "1", "--quiet"])
    assert not list(tmp_path.iterdir())


def test_folders_that_were_there_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert main(["train", "sp", "storm", "--option", "horizon=1", "--updates", "1"]) == 2
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]


def test_settings_that_have_an_effect_are_taken():
    ppo = {"base_update": "ppo", "ppo_epochs": 2, "ppo_minibatches": 2, "ppo_clip": 0.1}
    for settings in (ppo, {"network": "gru", "memory_units": 8}):
        complete, _ = prepare(TrainConfig("sp", "storm", **settings))
        assert {name: getattr(complete, name) for name in settings} == settings


def test_json_mode_keeps_stdout_empty_for_wrong_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*AT, "--lookahead", "0", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_wrong_input_is_one_line_in_ascii_terminals_too(monkeypatch):
    # tyro draws no box there, so its text has another shape.
    stderr = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    monkeypatch.setattr("sys.stderr", stderr)
    assert main([*AT, "--preset", "slow"]) == 2
    stderr.seek(0)
    assert stderr.read() == "rpax: --preset 'slow' is not allowed; give one of fast, paper\n"
