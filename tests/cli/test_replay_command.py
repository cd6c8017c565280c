"""`rpax replay` as a user calls it."""

import json
import pathlib
import re
import shutil
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rpax
from rpax.cli.main import VERBS, main

PAYOFFS = np.array([[1, 0, -1], [0, 1, -1]])


@pytest.fixture
def run_dir(finished_run: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(finished_run, tmp_path / "run")


def replayed(arguments: list[str], capsys) -> dict[str, Any]:
    """Replay with --json: standard output is one document and nothing else."""
    assert main(["replay", *arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return json.loads(output.out)


def test_every_pairing_of_base_agents_that_their_seats_allow(run_dir, capsys):
    document = replayed([str(run_dir), "--episodes", "3"], capsys)
    assert document["environment"] == "matrix/figure-2"
    assert (document["run_seed"], document["seed"], document["greedy"]) == (0, 0, False)
    # The victim plays seat 0 only and the adversary seat 1.
    assert [(replay["seat_0"], replay["seat_1"]) for replay in document["replays"]] == [("victim", "adversary")]
    replay = document["replays"][0]
    assert pathlib.Path(replay["file"]) == run_dir / "replays" / "seed-0-victim-adversary.gif"
    assert [episode["length"] for episode in replay["episodes"]] == [1, 1, 1]
    assert all(len(set(e["returns"])) == 1 and e["returns"][0] in (-1, 0, 1) for e in replay["episodes"])
    with Image.open(replay["file"]) as file:
        assert file.n_frames == replay["frames"] == 6


def test_greedy_agents_take_their_likeliest_actions(run_dir, capsys):
    run = rpax.load(run_dir)
    likeliest = [
        int(np.argmax(run.results[1].policies[name][seat])) for name, seat in (("victim", 0), ("adversary", 1))
    ]
    document = replayed([str(run_dir), "--greedy", "--run-seed", "1", "--seed", "9"], capsys)
    assert document["run_seed"] == 1
    replay = document["replays"][0]
    assert replay["episodes"][0]["returns"] == [PAYOFFS[tuple(likeliest)]] * 2
    assert replay["file"].endswith("seed-1-victim-adversary.gif")


def test_chosen_pairings_in_another_folder_and_format(run_dir, tmp_path, capsys):
    pairs = ["--pairing", "victim:adversary", "--pairing", "manipulator:adversary"]
    arguments = [str(run_dir), *pairs, "--pairing", "victim:adversary", "--out", str(tmp_path / "a" / "b")]
    document = replayed([*arguments, "--format", "webp", "--scale", "0.5", "--sample"], capsys)
    files = [pathlib.Path(replay["file"]).name for replay in document["replays"]]
    assert files == ["seed-0-victim-adversary.webp", "seed-0-manipulator-adversary.webp"]
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(files)
    assert not (run_dir / "replays").exists()


def test_the_same_seed_draws_the_same_file(run_dir, capsys):
    first = replayed([str(run_dir), "--seed", "4", "--episodes", "4"], capsys)
    path = pathlib.Path(first["replays"][0]["file"])
    content = path.read_bytes()
    assert replayed([str(run_dir), "--seed", "4", "--episodes", "4"], capsys) == first
    assert path.read_bytes() == content


def test_people_are_told_files_and_returns(run_dir, capsys):
    assert main(["replay", str(run_dir), "--quiet"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.startswith(
        f"{run_dir / 'replays' / 'seed-0-victim-adversary.gif'}  victim with adversary: returns "
    )


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    output = capsys.readouterr().out
    assert "rpax replay runs/x --pairing base_0:base_1" in output
    assert re.search("rpax replay .*--format webp --fps", output)
    assert "--run-seed INT " in output
    assert "None" not in output
    assert "replay" in VERBS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["RUN/none"], ("RUN/none does not exist", "give the directory that `rpax train` wrote")),
        (["RUN", "--pairing", "victm:adversary"], ("no agent 'victm'", "did you mean 'victim'?")),
        (["RUN", "--pairing", "victim"], ("pairing 'victim'", "write SEAT0:SEAT1")),
        (["RUN", "--pairing", "a:b:c"], ("pairing 'a:b:c'", "write SEAT0:SEAT1")),
        (["RUN", "--pairing", "adversary:victim"], ("'adversary' plays seat 1 only", "name the agent of seat 0 first")),
        (["RUN", "--run-seed", "7"], ("no seed 7", "it has 0, 1")),
        (["RUN", "--episodes", "0"], ("episodes 0", "from 1 to 1000")),
        (["RUN", "--seed", "-1"], ("seed -1", "from 0 to")),
        (["RUN", "--fps", "0"], ("fps 0.0", "from 0.1 to 60")),
        (["RUN", "--scale", "9"], ("scale 9.0", "from 0.25 to 4")),
        (["RUN", "--format", "avi"], ("'avi'", "give one of gif, mp4, webp")),
        (["RUN", "--greedy", "--sample"], ("--greedy and --sample", "give one of them")),
        (["RUN", "--out", "RUN/config.yaml"], ("RUN/config.yaml cannot be written (", "choose another --out")),
        (["RUN", "--format", "mp4"], ("imageio-ffmpeg", "pip install 'rpax[video]'")),
        (["RUN", "--parings", "a:b"], ("--parings", "did you mean '--pairing'?")),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing_behind(run_dir, capsys, monkeypatch, arguments, says):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    before = sorted(run_dir.rglob("*"))
    status = main(["replay", *(argument.replace("RUN", str(run_dir)) for argument in arguments)])
    output = capsys.readouterr()
    assert status == 2
    assert output.out == ""
    assert output.err.startswith("rpax: ")
    assert output.err.count("\n") == 1
    for part in says:
        assert part.replace("RUN", str(run_dir)) in output.err
    assert sorted(run_dir.rglob("*")) == before


def test_an_unfinished_run_has_no_agents_yet(run_dir, capsys):
    shutil.rmtree(run_dir / "policies")
    assert main(["replay", str(run_dir)]) == 2
    assert "has no policies yet; finish it with `rpax resume`" in capsys.readouterr().err
