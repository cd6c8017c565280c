"""Devices exchange strictly one thing after the other (XLA on processors can deadlock else): read off the trace."""

import dataclasses
import functools

import jax
import pytest

import rpax
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare
from rpax.training.initial import initial_state
from rpax.training.placement import Devices
from rpax.training.problem import key_data
from rpax.training.setup import make_problem
from rpax.training.step import step

DEVICES = 2


def exchanges_before(jaxpr, before: list[int], count: int, unordered: list[str]) -> tuple[list[int], int]:
    """How many exchanges lie on the way to each output, and in all; notes those that do not need the one before."""
    seen = dict(zip(jaxpr.invars, before, strict=True))
    for equation in jaxpr.eqns:
        known = [seen.get(v, 0) if not hasattr(v, "val") else 0 for v in equation.invars]
        inner = equation.params.get("jaxpr")
        if "psum" in equation.primitive.name:
            if max(known) != count:
                unordered.append(str(equation.outvars))
            count += 1
            outputs = [count] * len(equation.outvars)
        elif equation.primitive.name in ("jit", "pjit") and "psum" in str(inner):
            outputs, count = exchanges_before(inner.jaxpr, known, count, unordered)
        else:
            assert "psum" not in str(equation.params), f"look into {equation.primitive} too"
            outputs = [max(known, default=0)] * len(equation.outvars)
        seen.update(zip(equation.outvars, outputs, strict=True))
    return [seen.get(v, 0) if not hasattr(v, "val") else 0 for v in jaxpr.outvars], count


@pytest.mark.parametrize(
    ("algorithm", "settings", "exchanges"),
    [("sp", {}, 5), ("ad-rpg", {}, 9), ("ad-rpg", {"normalize": False}, 5)],
    ids=["sp", "ad-rpg with every exchange", "ad-rpg without normalisation"],
)
def test_every_exchange_needs_the_one_before(algorithm, settings, exchanges):
    settings = {"envs": 2, "steps": 2, "hidden_sizes": (2,), "base_update": "pg"} | settings
    config, objective = prepare(TrainConfig(algorithm, "storm", **settings))
    problem = make_problem(config, objective, rpax.make("storm"))
    state = jax.eval_shape(functools.partial(initial_state, problem, exact=False), key_data(0))
    on_device = functools.partial(step, dataclasses.replace(problem, devices=Devices(DEVICES)))
    traced = jax.make_jaxpr(on_device, axis_env=[("envs", DEVICES)])(state).jaxpr
    unordered: list[str] = []
    _, count = exchanges_before(traced, [0] * len(traced.invars), 0, unordered)
    assert not unordered
    assert count == exchanges
