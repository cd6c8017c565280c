"""Schemes as runs: in memory, stopped and resumed, with wrong input."""

import json
import shutil

import numpy as np
import pytest

import rpax
import rpax.schemes
from rpax.errors import InputError
from rpax.runs.directory import RunDirectory
from rpax.runs.prepare import prepare
from rpax.runs.run import config_of

SETTINGS = {"exact": True, "updates": 12, "environment": "matrix/figure-2"}


def train(name, **settings):
    return rpax.train(name, **SETTINGS | settings)


@pytest.fixture(autouse=True)
def quick(no_plots):
    """Draw nothing."""


def policies(run):
    return {name: {seat: p.tolist() for seat, p in its.items()} for name, its in run.results[0].policies.items()}


@pytest.mark.parametrize(
    ("name", "options"), [("fcp", {"population": 2}), ("comedi", {"population": 2}), ("sp-sweep", {})]
)
def test_in_memory_comes_out_what_is_written_elsewhere(name, options, tmp_path):
    in_memory = train(name, **options)
    written = train(name, out=tmp_path / "run", **options)
    assert in_memory.path is None
    assert policies(in_memory) == policies(written)
    for agent in written.objective.agents:
        assert in_memory.agent(agent).seats == written.agent(agent).seats == (0, 1)
    assert policies(rpax.load(tmp_path / "run")) == policies(written)


def test_a_sweep_trains_self_play_at_each_entropy(tmp_path):
    run = train("sp-sweep", entropies=[0.0, 0.3], seeds=2, out=tmp_path / "run")
    for number, entropy in enumerate((0.0, 0.3)):
        alone = rpax.train("sp", entropy=entropy, seeds=2, **SETTINGS)
        stage = rpax.load(tmp_path / "run" / f"entropy-{entropy:g}")
        assert (stage.config.algorithm, stage.config.entropy, stage.config.entropy_start) == ("sp", entropy, entropy)
        for one, other, whole in zip(alone.results, stage.results, run.results, strict=True):
            for seat in (0, 1):
                np.testing.assert_allclose(one.policies["base_0"][seat], other.policies["base_0"][seat], atol=1e-12)
                np.testing.assert_allclose(
                    one.policies["base_0"][seat], whole.policies[f"base_{number}"][seat], atol=1e-12
                )


def test_resuming_goes_on_with_the_first_unfinished_stage(tmp_path):
    run = train("comedi", population=3, out=tmp_path / "run")
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "run", copy)
    first = (copy / "agent-0" / "results.json").stat().st_mtime_ns
    for gone in ("agent-2", "policies", "agent-1/checkpoints"):
        shutil.rmtree(copy / gone)
    for gone in ("results.json", "agent-1/results.json", "agent-1/metrics.jsonl"):
        (copy / gone).unlink()
    assert rpax.load(copy).status == "unfinished"
    with pytest.raises(InputError, match=r"agent-1 is a stage of .*copy; `rpax resume .*copy` goes on with it"):
        rpax.resume(copy / "agent-1")
    resumed = rpax.resume(copy)
    assert policies(resumed) == policies(run)
    assert (copy / "agent-0" / "results.json").stat().st_mtime_ns == first
    assert policies(rpax.resume(copy)) == policies(run)
    with pytest.raises(InputError, match="is trained in stages; train it anew with --updates"):
        rpax.resume(copy, until=100)


def test_a_time_limit_stops_the_scheme_and_resuming_ends_it(tmp_path):
    whole = train("fcp", population=2, out=tmp_path / "whole", log_every=1)
    stopped = train("fcp", population=2, out=tmp_path / "run", minutes=1e-7, log_every=1)
    assert stopped.status == "out of time"
    assert not stopped.results
    assert (stopped.update, stopped.stage) == (1, "pool")
    assert rpax.load(tmp_path / "run").update == 1
    with pytest.raises(InputError, match=r"no policies yet; finish it with `rpax resume`, or use a stage's: .*pool$"):
        rpax.load(tmp_path / "run").agent("base_0")
    assert rpax.load(tmp_path / "run" / "pool").update < 12
    assert policies(rpax.resume(tmp_path / "run")) == policies(whole)


def test_a_time_limit_in_the_last_stage_leaves_its_agent(tmp_path):
    run = train("fcp", population=2, out=tmp_path / "run", log_every=1)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    (tmp_path / "run" / "results.json").unlink()
    stopped = rpax.resume(tmp_path / "run", minutes=1e-7)
    assert (stopped.status, stopped.update) == ("out of time", 1)
    assert stopped.agent("base_0").seats == (0, 1)
    assert policies(rpax.resume(tmp_path / "run")) == policies(run)


def test_until_is_refused_where_later_stages_take_partners(tmp_path):
    train("fcp", population=2, out=tmp_path / "fcp")
    train("comedi", population=2, out=tmp_path / "comedi")
    for stage in ("fcp/pool", "comedi/agent-0"):
        before = (tmp_path / stage / "config.yaml").read_text()
        with pytest.raises(InputError, match="of which later ones take partners; leave --until out"):
            rpax.resume(tmp_path / stage, until=20)
        assert (tmp_path / stage / "config.yaml").read_text() == before
    train("sp-sweep", entropies=[0.0, 0.3], out=tmp_path / "sweep")
    assert rpax.resume(tmp_path / "sweep" / "entropy-0.3", until=14).update == 14
    (tmp_path / "sweep" / "results.json").unlink()
    with pytest.raises(InputError, match="is trained in stages; give --until for one of its folders"):
        rpax.resume(tmp_path / "sweep", until=20)


@pytest.mark.parametrize(
    ("name", "options", "first", "end"),
    [
        ("sp-sweep", {"entropies": [0.0, 0.3]}, "entropy-0", "set it back, or train anew with --updates"),
        ("comedi", {"population": 2}, "agent-0", "set it back, or train anew with --updates"),
        ("fcp", {"population": 2}, "pool", "set it back, or train anew with --updates"),
    ],
)
def test_a_scheme_does_not_go_on_with_other_updates(name, options, first, end, tmp_path):
    run = tmp_path / "run"
    train(name, updates=6, out=run, **options)
    written = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(written.replace("updates: 6", "updates: 12", 1))
    assert rpax.load(run).config.updates == 12
    says = f"updates in config.yaml is 12 now and was 6, with which {first} was trained; {end}"
    with pytest.raises(InputError, match=says):
        rpax.resume(run)
    # Nor where a process was killed before its first checkpoint, but for a sweep, in which nothing was made of it.
    for folder in run.glob("**/checkpoints"):
        shutil.rmtree(folder)
    for file in (*run.rglob("metrics.jsonl"), *run.rglob("results.json")):
        file.unlink()
    if name == "sp-sweep":
        assert rpax.resume(run).update == 12
    else:
        with pytest.raises(InputError, match=says):
            rpax.resume(run)


def test_a_stage_from_which_others_take_partners_does_not_go_on_with_other_updates(tmp_path):
    run = train("comedi", population=2, updates=6, out=tmp_path / "run")
    config = tmp_path / "run" / "agent-0" / "config.yaml"
    config.write_text(config.read_text().replace("updates: 6", "updates: 12", 1))
    with pytest.raises(InputError, match=r"later ones take partners; set updates in config\.yaml back to 6"):
        rpax.resume(tmp_path / "run" / "agent-0")
    assert policies(rpax.load(tmp_path / "run")) == policies(run)


def test_a_sweep_says_the_updates_that_all_of_its_stages_made(tmp_path):
    train("sp-sweep", updates=4, entropies=[0.0, 0.3], out=tmp_path / "run")
    assert rpax.resume(tmp_path / "run" / "entropy-0.3", until=6).update == 6
    (tmp_path / "run" / "results.json").unlink()
    run = rpax.resume(tmp_path / "run")
    assert (run.status, run.update) == ("finished", 4)


def test_resuming_writes_every_choice_of_a_partner_once(tmp_path):
    run = train("comedi", population=2, out=tmp_path / "run", log_every=1)
    log = tmp_path / "run" / "agent-1" / "partners.jsonl"
    written = log.read_text()
    assert len(written.splitlines()) == 12
    shutil.rmtree(tmp_path / "run" / "agent-1" / "checkpoints" / "update-000000012")
    for file in (tmp_path / "run" / "results.json", log.parent / "results.json"):
        file.unlink()
    assert policies(rpax.resume(tmp_path / "run")) == policies(run)
    assert log.read_text() == written


def test_progress_counts_all_stages():
    seen = []
    train("comedi", population=2, progress=lambda update, until, rows: seen.append((update, until)), log_every=6)
    assert seen == [(6, 24), (12, 24), (18, 24), (24, 24)]


def test_scheme_json_says_what_each_folder_is(tmp_path):
    train("fcp", population=2, out=tmp_path / "run")
    content = json.loads((tmp_path / "run" / "scheme.json").read_text())
    assert content["scheme"] == "fcp"
    assert [stage["folder"] for stage in content["stages"]] == ["pool", "."]
    assert all(stage["about"] for stage in content["stages"])


def test_an_environment_may_come_as_an_object():
    game = rpax.make("matrix/custom", payoffs=[[1, 0], [0, 1]])
    run = rpax.train("fcp", game, exact=True, updates=4, population=2)
    assert run.agent("partner_1_half").seats == (0, 1)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"fixed": {"partner_0_first": "uniform"}}, "trains its own partners; leave partner_0_first out"),
        ({"partner": "uniform"}, "trains its own partners; leave --partner out"),
        ({"sinks": ["tensorboard"]}, "needs a run directory"),
    ],
)
def test_what_a_scheme_does_not_take_is_refused(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        train("fcp", population=2, **settings)


def test_an_objective_of_ones_own_that_is_called_like_a_scheme_goes_on_as_what_it_is(tmp_path):
    file = tmp_path / "mine.yaml"
    edges = "[{learner: victim, beneficiary: victim, partner: victim}]"
    file.write_text(f"name: fcp\nagents: {{victim: base}}\nedges: {edges}\n")
    settings = {"exact": True, "log_every": 1, "out": tmp_path / "run"}
    assert rpax.train(str(file), "matrix/figure-2", updates=3, minutes=1e-9, **settings).status == "out of time"
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    resumed = rpax.resume(tmp_path / "run")
    assert (resumed.status, resumed.update) == ("finished", 3)
    assert not (tmp_path / "run" / "scheme.json").exists()


def test_a_stage_that_cannot_be_begun_is_not_locked_any_more(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise InputError("no partner")

    monkeypatch.setattr("rpax.schemes.session.Session.begin", fail)
    with pytest.raises(InputError, match="no partner") as kept:
        rpax.schemes.begin(*scheme_of("fcp", tmp_path / "run"), environment="matrix/figure-2", fixed={})
    assert kept.tb is not None, "what failed is not forgotten yet"
    lock = RunDirectory(tmp_path / "run" / "pool").lock
    lock.acquire()
    lock.release()


def scheme_of(name, out):
    """What a scheme is begun with."""
    config, objective = prepare(config_of(name, "matrix/figure-2", {"exact": True, "updates": 2, "population": 2}))
    return config, objective, RunDirectory.create(out, config, objective)
