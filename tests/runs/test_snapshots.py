"""Policies that are kept while a run trains, and agents named by their update."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

import rpax
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.policies.sources import find_agent
from rpax.runs.manifest import read_manifest
from rpax.runs.snapshots import snapshot_updates

pytestmark = pytest.mark.usefixtures("no_plots")

SETTINGS = {"exact": True, "seeds": 2, "log_every": 4}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> pathlib.Path:
    """Exact AT-RPG of ten updates with two snapshots on the way."""
    path = tmp_path_factory.mktemp("snapshots") / "whole"
    rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=10, snapshots=2, out=path)
    return path


def files_of(run: pathlib.Path) -> dict[str, bytes]:
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in (run / "policies").rglob("*.safetensors")}


def tables(agent):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(agent.parameters)]


@pytest.mark.parametrize(
    ("count", "ends", "expected"),
    [
        (0, (10,), ()),
        (0, (10, 20), ()),
        (1, (10,), (0, 5)),
        # Of 10 updates, thirds rounded down.
        (2, (10,), (0, 3, 6)),
        (4, (5,), (0, 1, 2, 3, 4)),
        (9, (5,), (0, 1, 2, 3, 4)),
        # An end that was put off, then one that was put back and off again.
        (1, (10, 20), (0, 5, 10, 15)),
        (1, (10, 6, 14), (0, 5, 10, 12)),
        (3, (8, 9), (0, 2, 4, 6, 8)),
    ],
)
def test_snapshots_are_evenly_spaced_between_ends_and_start_at_update_0(count, ends, expected):
    assert snapshot_updates(count, ends) == expected


@pytest.mark.parametrize("stops", [0, 1, 3, 9])
def test_an_extended_run_keeps_the_lines_and_snapshots_of_its_first_plan(stops, whole, tmp_path):
    run, until = tmp_path / "run", 20
    stopped = rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=10, snapshots=2, minutes=1e-9, out=run)
    for _ in range(stops):
        stopped = rpax.resume(run, minutes=1e-9)
    # Stops are at 3, 4, 6, 8 and 10.
    assert (stopped.status == "finished") == (stops > 3)
    while stopped.update < 20:
        stopped = rpax.resume(run, minutes=1e-9, until=until)
        # Only said once: the configuration knows it from then on.
        until = None
    lines = (run / "metrics.jsonl").read_text()
    assert lines.startswith((whole / "metrics.jsonl").read_text())
    # Where it was to end there is a line; thirds of the way from 10 to 20 begin there.
    updates = [json.loads(line)["update"] for line in lines.splitlines()[::2]]
    assert updates == [3, 4, 6, 8, 10, 12, 13, 16, 20]
    assert rpax.load(run).snapshots("victim") == (0, 3, 6, 10, 13, 16, 20)
    assert {name: content for name, content in files_of(run).items() if "@3" in name or "@6" in name} == {
        name: content for name, content in files_of(whole).items() if "@3" in name or "@6" in name
    }
    last = read_manifest(run / "checkpoints" / "update-000000020")
    assert (last.until, last.ends) == (20, (10, 20))


def test_without_snapshots_an_end_that_was_put_off_keeps_its_line(tmp_path):
    whole = rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=6, out=tmp_path / "whole")
    rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=6, minutes=1e-9, out=tmp_path / "run")
    run = rpax.resume(tmp_path / "run", until=8)
    assert [row["update"] for row in run.metrics()[::2]] == [4, 6, 8]
    assert run.metrics()[:4] == whole.metrics()


def test_base_agents_are_kept_at_each_snapshot_and_everyone_at_the_end(whole):
    at = ["", "@0", "@3", "@6"]
    expected = {f"policies/seed-{s}/{n}{u}.safetensors" for s in (0, 1) for n in ("victim", "adversary") for u in at}
    assert set(files_of(whole)) == expected | {f"policies/seed-{s}/manipulator.safetensors" for s in (0, 1)}
    run = rpax.load(whole)
    assert run.snapshots("victim", seed=1) == (0, 3, 6, 10)
    assert run.snapshots("manipulator") == (10,)


def test_a_snapshot_is_the_agent_of_a_run_that_ended_there(whole, tmp_path):
    run = rpax.load(whole)
    for update in (3, 6):
        shorter = rpax.train("at-rpg", "matrix/figure-2", **SETTINGS | {"log_every": 1}, updates=update)
        for seed in (0, 1):
            for ours, theirs in zip(
                tables(run.agent("victim", seed, update=update)), tables(shorter.agent("victim", seed)), strict=True
            ):
                np.testing.assert_array_equal(ours, theirs)
    # Snapshots change nothing of what is learned.
    plain = rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=10)
    for ours, theirs in zip(tables(run.agent("victim")), tables(plain.agent("victim")), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert plain.snapshots("victim") == (10,)


def test_agents_are_named_by_their_update(whole):
    game, run = rpax.make("matrix/figure-2"), rpax.load(whole)
    for text, update in [("@3", 3), ("@first", 0), ("@last", 10), ("@10", 10), ("", 10)]:
        found = find_agent(f"{whole}:1:victim{text}", game, (0,))
        for ours, theirs in zip(tables(found), tables(run.agent("victim", 1, update)), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    first, last = (tables(find_agent(f"{whole}:victim@{when}", game, (0,)))[0] for when in ("first", "last"))
    assert not np.allclose(first, last)


def test_without_snapshots_checkpoints_are_read_and_what_there_is_is_listed(finished_run, whole):
    run = rpax.load(finished_run)
    # The run's first checkpoint and its last.
    first = run.agent("adversary", seed=1, update="first")
    for ours, theirs in zip(tables(first), tables(rpax.load(whole).agent("adversary", 1, "first")), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert tables(run.agent("manipulator", update=0))[0].shape == tables(run.agent("manipulator"))[0].shape
    with pytest.raises(InputError, match=r"has no 'victim' of update 2; it has policies of updates 0, 4 \(train with"):
        run.agent("victim", update=2)
    with pytest.raises(InputError, match=r"has no 'victim' of update 5; it has policies of updates 0, 3, 6, 10"):
        rpax.load(whole).agent("victim", update=5)
    for wrong in (-1, True, "soon"):
        with pytest.raises(InputError, match="is not allowed; give a whole number, 'first' or 'last'"):
            run.agent("victim", update=wrong)


def test_a_resumed_run_has_the_snapshots_of_one_that_was_not_stopped(whole, tmp_path):
    run, stops = tmp_path / "run", []
    stopped = rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=10, snapshots=2, minutes=1e-9, out=run)
    while stopped.status == "out of time":
        stops.append(stopped.update)
        stopped = rpax.resume(run, minutes=1e-9)
    # Chunks end where a line of metrics is due, every four updates, and at snapshots.
    assert stops == [3, 4, 6, 8]
    assert files_of(run) == files_of(whole)
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_snapshots_after_the_checkpoint_are_taken_again(whole, tmp_path):
    run = shutil.copytree(
        whole, tmp_path / "run", ignore=shutil.ignore_patterns("results.json", "checkpoints", "metrics.jsonl")
    )
    for path in (run / "policies" / "seed-1").glob("*@*"):
        path.write_bytes(b"half of it")
    (run / "policies" / "seed-0" / "victim@6.safetensors").unlink()
    with pytest.raises(InputError, match="has no policies yet; finish it"):
        rpax.load(run).agent("victim")
    assert rpax.resume(run).status == "finished"
    assert files_of(run) == files_of(whole)


def test_what_cannot_be_kept_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="snapshots 10 cannot be taken on the way of updates 10; give fewer"):
        rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=10, snapshots=10)
    with pytest.raises(InputError, match="snapshots need a run directory; give out="):
        rpax.train("at-rpg", "matrix/figure-2", **SETTINGS, updates=10, snapshots=1)
    options = ["--exact", "--updates", "4", "--out", str(tmp_path / "run"), "--json"]
    assert main(["train", "sp", "matrix/figure-2", *options, "--snapshots", "-1"]) == 2
    assert "snapshots -1 is not allowed; give a whole number from 0 to 1000" in capsys.readouterr().err
    assert main(["train", "sp", "matrix/figure-2", *options, "--snapshots", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["update"] == 4
    victim = f"{tmp_path / 'run'}:base_0@2"
    assert main(["train", "ap", "matrix/figure-2", "--exact", "--updates", "1", "--victim", victim, "--quiet",
                 "--out", str(tmp_path / "attack")]) == 0  # fmt: skip
    with pytest.raises(InputError, match="'victim' is fixed and the same in every update; leave @0 out"):
        rpax.load(tmp_path / "attack").agent("victim", update="first")
