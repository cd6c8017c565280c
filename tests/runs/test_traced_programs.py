"""Traced programs are kept, found again only where they are right, and never in the way."""

import hashlib
import os
import time

import jax
import numpy as np
import pytest

import rpax
from rpax.runs.compilation_cache import folder_in_use
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare
from rpax.runs.session import make_environment, make_trainer, resolve_fixed
from rpax.runs.traced_programs import TracedPrograms
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder that JAX uses."""
    monkeypatch.setattr("rpax.runs.traced_programs.folder_in_use", lambda: tmp_path)
    return tmp_path


def trainer_of(environment="matrix/figure-2", **settings) -> Trainer:
    config, objective = prepare(TrainConfig("at-rpg", environment, exact=True, **settings))
    return make_trainer(config, make_problem(config, objective, make_environment(config)))


def train(trainer: Trainer):
    return jax.device_get(trainer.advance(trainer.init(), 3))


def train_here(trainer: Trainer):
    """Without any kept program."""
    with trainer.precision_context():
        return jax.device_get(trainer._traced_here(trainer.init(), np.int32(3)))


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for leaf, its in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(leaf, its)


def refuse(*_):
    raise AssertionError("traced again")


def test_a_kept_program_makes_the_same_updates_without_tracing(folder, monkeypatch):
    expected = train_here(trainer_of(seeds=2))
    assert_same(train(trainer_of(seeds=2)), expected)
    monkeypatch.setattr(Trainer, "_advance_all", refuse)
    assert_same(train(trainer_of(seeds=2, updates=77)), expected)


@pytest.mark.parametrize("change", [{"seeds": 3}, {"base_rate": 0.01}])
def test_other_settings_are_other_programs(folder, change):
    train(trainer_of(seeds=2, lookahead=1))
    train(trainer_of(**{"seeds": 2, "lookahead": 1, **change}))
    assert len(list((folder / "traced").iterdir())) == 2


def test_a_changed_payoff_file_is_another_program(folder, tmp_path):
    file = tmp_path / "payoffs.json"
    returns = []
    for best in (1, 5):
        file.write_text(f"[[{best}, 0], [0, {best}]]")
        returns.append(train(trainer_of("matrix/custom", payoffs=str(file)))[1].returns)
    np.testing.assert_allclose(returns[1], 5 * returns[0], rtol=0.2)
    assert len(list((folder / "traced").iterdir())) == 2


def test_a_damaged_file_is_replaced(folder):
    expected = train(trainer_of())
    (file,) = (folder / "traced").iterdir()
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    no_program = hashlib.sha256(b"no program").digest() + b"no program"
    for damaged in (b"", content[:middle], flipped, no_program):
        file.write_bytes(damaged)
        assert_same(train(trainer_of()), expected)
        assert file.read_bytes() != damaged


def test_files_that_nobody_used_for_a_month_are_removed(folder):
    train(trainer_of())
    (used,) = (folder / "traced").iterdir()
    unused, left_behind = used.with_name(64 * "0"), used.with_name(64 * "0" + ".17")
    not_ours = used.with_name("not_ours")
    for file in (unused, left_behind, not_ours):
        file.write_bytes(b"of another version")
    for file in (used, unused, left_behind, not_ours):
        os.utime(file, times=(0, time.time() - 31 * 24 * 3600))
    train(trainer_of())
    train(trainer_of(base_rate=0.3))
    assert not unused.exists()
    assert not left_behind.exists()
    assert used.exists()
    assert not_ours.exists()


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(folder):
    (folder / "traced").write_text("a file in the place of the folder")
    assert np.isfinite(train(trainer_of())[1].returns).all()


def test_nothing_is_kept_of_what_is_not_known_by_settings_alone():
    config, objective = prepare(TrainConfig("ap-rpg", "matrix/figure-2", exact=True, victim="uniform"))
    game = make_environment(config)
    victim = resolve_fixed(config, objective, game, {})
    assert TracedPrograms.of(config, make_problem(config, objective, game, victim)) is None
    rpax.register("mine/kept", lambda name: rpax.make("matrix/figure-2"), tabular=True)
    config, objective = prepare(TrainConfig("sp", "mine/kept", exact=True))
    assert TracedPrograms.of(config, make_problem(config, objective, make_environment(config))) is None


def test_nothing_is_kept_of_source_that_changed_since_it_was_imported(monkeypatch):
    config, objective = prepare(TrainConfig("sp", "matrix/figure-2", exact=True))
    problem = make_problem(config, objective, make_environment(config))
    assert TracedPrograms.of(config, problem) is not None
    monkeypatch.setattr(rpax, "IMPORTED_AT", 0.0)
    assert TracedPrograms.of(config, problem) is None


def test_what_cannot_be_exported_is_compiled_all_the_same(folder, monkeypatch, caplog):
    expected = train(trainer_of())
    (file,) = (folder / "traced").iterdir()
    file.unlink()
    monkeypatch.setattr("jax.export.export", refuse)
    assert_same(train(trainer_of()), expected)
    assert "could not be exported: traced again" in caplog.text
    assert not list((folder / "traced").iterdir())


def test_sampled_training_compiles_once(folder):
    config, objective = prepare(TrainConfig("at-rpg", "matrix/figure-2", envs=4))
    trainer = make_trainer(config, make_problem(config, objective, make_environment(config)))
    state, _ = trainer.advance(trainer.init(), 1)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    for updates in (2, 1):
        state, _ = trainer.advance(state, updates)
    assert not compiled
    jax.jit(lambda x: x + 123)(1)
    assert compiled


def test_the_cache_can_be_switched_off(monkeypatch):
    assert folder_in_use() is not None
    monkeypatch.setenv("RPAX_CACHE", "off")
    assert folder_in_use() is None


def test_nothing_is_kept_where_the_cache_is_off():
    was = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert folder_in_use() is None
    finally:
        jax.config.update("jax_enable_compilation_cache", was)
