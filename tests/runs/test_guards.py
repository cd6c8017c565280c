"""What is not finite is noticed, told and kept, or left out; signatures of failure are told while a run goes on."""

import json
import logging
import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_game import Ring

import rpax
from rpax.cli.main import main
from rpax.errors import NonFiniteError
from rpax.runs.checkpoint import list_checkpoints, read_arrays
from rpax.runs.directory import RunDirectory
from rpax.runs.failure import told
from rpax.runs.prepare import prepare
from rpax.runs.run import config_of
from rpax.runs.warnings import Warnings
from rpax.runs.writing import Unwritable
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("no_plots")


class BrokenRing(Ring):
    """The ring, whose rewards are not a number in this share of steps."""

    def __init__(self, name: str = "small/broken-ring", *, horizon: int = 5, share: float = 0.02) -> None:
        super().__init__(name, horizon=horizon)
        self.share = share

    def step(self, key, state, actions):
        transition = super().step(key, state, actions)
        broken = jax.random.uniform(key) < self.share
        return transition._replace(rewards=jnp.where(broken, jnp.nan, transition.rewards))


rpax.register("small/broken-ring", BrokenRing, "a ring whose rewards are now and then not a number")

SMALL: dict[str, Any] = {
    "network": "mlp",
    "hidden_sizes": [4],
    "envs": 2,
    "steps": 3,
    "lookahead": 1,
    "updates": 12,
    "log_every": 1,
    "evaluation_episodes": 2,
    "checkpoint_minutes": 1e-9,
}


def trainer_of(share: float, *, skip: bool, seeds: tuple[int, ...] = (0, 1)) -> Trainer:
    asked = config_of("at-rpg", BrokenRing(share=share), dict(SMALL))
    config, objective = prepare(asked, None)
    problem = make_problem(config, objective, BrokenRing(share=share))
    return Trainer(problem, seeds, False, "float32", skip_non_finite=skip)


def leaves(state: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


@pytest.mark.slow
def test_an_update_that_is_not_finite_leaves_its_seeds_state_as_it_was_but_for_the_count_of_updates():
    """One after the other with a trainer that leaves nothing out, whose broken updates are undone here."""
    plain, skipping = trainer_of(0.02, skip=False), trainer_of(0.02, skip=True)
    state = plain.init()
    expected, skipped = jax.tree.map(np.array, state), np.zeros(2, int)
    for _ in range(12):
        following, report = plain.advance(jax.tree.map(jnp.asarray, expected), 1)
        fine = np.all([np.asarray(flags) for flags in report.finite.values()], axis=0)
        skipped += ~fine

        def chosen(new, old, fine=fine):
            return np.where(fine.reshape(-1, *[1] * (np.ndim(new) - 1)), new, old)

        expected = jax.tree.map(chosen, following, expected)._replace(update=np.asarray(following.update))
    assert 0 < skipped.sum() < 24, "some updates break, others do not"
    assert skipped[0] != skipped[1] or skipped.all(), "each seed has its own chance"
    found, report = skipping.advance(skipping.init(), 12)
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert np.asarray(report.skipped).tolist() == skipped.tolist()
    assert all(np.asarray(flags).all() for flags in report.finite.values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(report.metrics))


@pytest.mark.slow
def test_where_everything_is_finite_nothing_changes():
    plain, skipping = trainer_of(0.0, skip=False), trainer_of(0.0, skip=True)
    (one, report), (other, guarded) = (its.advance(its.init(), 3) for its in (plain, skipping))
    for first, second in zip(leaves((one, report.metrics)), leaves((other, guarded.metrics)), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)
    assert report.skipped is None
    assert np.asarray(guarded.skipped).tolist() == [0, 0]


def test_stop_says_which_term_of_which_agent_of_which_seed_and_skip_goes_on_from_there(tmp_path, caplog, capsys):
    run = tmp_path / "run"
    with pytest.raises(NonFiniteError, match=r"critic loss of critics \(seed 4\)") as stopped:
        rpax.train("at-rpg", "small/broken-ring", **SMALL, seeds=[4], out=run)
    about = json.loads((run / "failure.json").read_text())
    (first,) = {about["first_update"], about["last_update"]}
    assert f"not finite after updates {first} to {first}" in str(stopped.value)
    terms = {entry["agent"]: set(entry["terms"]) for entry in about["found"]}
    assert terms["critics"] == {"parameters", "optimiser state", "critic loss"}
    learners = [its for agent, its in terms.items() if agent != "critics"]
    assert all(its <= {"parameters", "optimiser state", "gradient"} for its in learners)
    assert {entry["seed"] for entry in about["found"]} == {4}

    last = list_checkpoints(run / "checkpoints")[-1]
    arrays, update = read_arrays(last)
    assert update == about["last_checkpoint"] == first - 1
    assert all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f")
    assert (rpax.load(run).status, rpax.load(run).update) == ("failed", first - 1)
    assert not (run / "lock").exists()

    # The same chance fails again.
    assert main(["resume", str(run)]) == 3
    complaint = capsys.readouterr().err
    assert f"became non-finite in updates {first} to {first}" in complaint
    assert "--on-nonfinite skip" in complaint
    with caplog.at_level(logging.WARNING):
        assert main(["resume", str(run), "--on-nonfinite", "skip", "--quiet"]) == 0
    assert caplog.text.count("updates are left out as they were not finite; the metrics count them") == 1
    finished = rpax.load(run)
    assert (finished.status, finished.update, finished.config.on_nonfinite) == ("finished", 12, "skip")
    by_update = {row["update"]: row.get("skipped") for row in finished.metrics()}
    assert by_update[first] == 1
    assert (list(by_update), by_update.get(first - 1)) == ([*range(1, 13)], None)
    assert not (run / "failure.json").exists()


def write_failure(run: pathlib.Path, first: int, last: int) -> None:
    found = [{"agent": "victim", "seed": 0, "terms": ["gradient"]}]
    about = {"status": "non-finite", "first_update": first, "last_update": last, "found": found}
    (run / "failure.json").write_text(json.dumps(about))


@pytest.mark.usefixtures("no_plots")
def test_of_results_and_a_failure_the_newer_one_says_what_became_of_a_run(finished_run, tmp_path):
    run = tmp_path / "run"
    rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=6, log_every=2, minutes=1e-9, out=run)
    for status in ("interrupted", "out of time"):
        results = json.loads((run / "results.json").read_text()) | {"status": status}
        (run / "results.json").write_text(json.dumps(results))
        assert (rpax.load(run).status, rpax.load(run).update) == (status, 2)
        write_failure(run, 3, 4)
        assert (rpax.load(run).status, rpax.load(run).update) == ("failed", 2)
        assert rpax.load(run).agent("victim", update=2).seats == (0,)
        # One that was not removed, of a run that came past it.
        write_failure(run, 1, 2)
        assert rpax.load(run).status == status
    # What was finished is there, whatever became of going on.
    extended = shutil.copytree(finished_run, tmp_path / "extended")
    write_failure(extended, 5, 8)
    assert (rpax.load(extended).status, rpax.load(extended).update) == ("finished", 4)
    assert rpax.load(extended).agent("victim").seats == (0,)


@pytest.mark.usefixtures("no_plots")
def test_a_failure_is_over_at_the_first_checkpoint_beyond_it(tmp_path):
    run, seen = tmp_path / "run", {}
    settings = {"exact": True, "updates": 4, "log_every": 1, "checkpoint_minutes": 1e-9}
    rpax.train("at-rpg", "matrix/figure-2", **settings, minutes=1e-9, out=run)
    (run / "results.json").unlink()
    write_failure(run, 2, 3)

    def look(update: int, until: int, rows: object) -> None:
        # The checkpoint of the update before is written by now.
        seen[update - 1] = rpax.load(run).status

    rpax.resume(run, progress=look)
    assert seen == {1: "failed", 2: "failed", 3: "unfinished"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"found": [], "first_update": Infinity, "last_update": 2}',
        b'{"found": [7], "first_update": 1, "last_update": 2}',
        b'{"found": [{"agent": "victim", "seed": NaN, "terms": []}], "first_update": 1, "last_update": 2}',
    ],
)
def test_a_failure_that_was_written_down_and_damaged_says_nothing(content, tmp_path):
    (tmp_path / "failure.json").write_bytes(content)
    assert told(tmp_path / "failure.json") is None


def test_what_a_failures_file_says_is_one_short_line(tmp_path):
    found = [{"agent": "a\n\x1b[2J" * 500, "seed": 3, "terms": ["x" * 1000] * 20}] * 20
    about = {"found": found, "first_update": 1, "last_update": 10**3000}
    (tmp_path / "failure.json").write_text(json.dumps(about))
    line = told(tmp_path / "failure.json")
    assert line is not None
    assert line.isprintable()
    assert len(line) < 3000


def test_that_a_failure_cannot_be_written_down_does_not_hide_it(tmp_path, monkeypatch):
    def refuse(directory: RunDirectory, path: pathlib.Path, content: object) -> None:
        if path.name == "failure.json":
            raise Unwritable(path, 28, "No space left on device")

    monkeypatch.setattr(RunDirectory, "write_json", refuse)
    with pytest.raises(NonFiniteError, match="not finite after updates"):
        rpax.train(
            "sp", "matrix/custom", payoffs=[[1e300, 0], [0, 1e300]], exact=True, base_rate=1e10, updates=2,
            out=tmp_path / "run",
        )  # fmt: skip


def test_a_failure_in_the_making_is_told_once_while_the_run_goes_on(caplog):
    times = iter(range(0, 1000, 11))
    warn = Warnings(clock=lambda: float(next(times)))
    row = {"seed": 3, "influence": {"m": 1e-9}, "manipulator_gradient_norm": {"m": 1.0}, "critic_loss": 1.0}
    for update in range(1, 30):
        loss = 1.0 if update < 20 else 1e4
        warn([row | {"update": update, "base_gradient_norm": {"victim": loss}, "critic_loss": loss}])
        if update == 9:
            assert caplog.messages == [], "too few lines to tell"
        if update == 19:
            assert len(caplog.messages) == 1
    assert [message.partition(": seed 3: ")[2].partition(";")[0] for message in caplog.messages] == [
        "no influence: the update does not depend on m",
        "diverging: the gradient of victim explodes",
        "diverging: the critics' loss explodes",
    ]


def test_a_seed_of_which_no_update_is_made_any_more_is_told(caplog):
    warn = Warnings()
    warn([{"update": 5, "seed": 0, "skipped": 1}])
    warn([{"update": 10, "seed": 0, "skipped": 5}])
    warn([{"update": 15, "seed": 0, "skipped": 5}])
    assert len(caplog.messages) == 2
    assert "lately all of them; lower the learning rates" in caplog.messages[1]
