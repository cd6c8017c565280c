"""From a complete configuration to the :class:`~rpax.training.problem.Problem` that is trained."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import linen as nn

from rpax.environments.exploring import ExploringStarts
from rpax.environments.protocol import Environment, check_environment
from rpax.environments.reachable import ReachableStarts
from rpax.environments.symmetries import OtherPlay, averaged_over
from rpax.environments.tabular_game import TabularGame
from rpax.errors import InputError
from rpax.objectives.edges import MEMORY_AND_MIXED_PLAY, Objective
from rpax.objectives.plan import make_plan
from rpax.objectives.sampling import weighted
from rpax.policies.agent import AgentPolicy, Parameters, make_agent_policy
from rpax.policies.networks import CNN, GRU, MLP, Tabular
from rpax.training.optimizers import ADAM_EPSILON, Optimizer
from rpax.training.problem import Hyperparameters, Problem

if TYPE_CHECKING:
    from rpax.runs.config import TrainConfig


def make_problem(
    config: "TrainConfig",
    objective: Objective,
    environment: Environment,
    fixed: Mapping[str, tuple[AgentPolicy, Parameters]] | None = None,
    partners: Mapping[str, tuple[AgentPolicy, Parameters]] | None = None,
) -> Problem:
    """Build everything static about a run.

    Args:
        config: a complete configuration, as :func:`rpax.runs.prepare.prepare` gives it.
        objective: what is learned.
        environment: where.
        fixed: policy and parameters of every agent with the role ``fixed``.
        partners: of those that each seed has its own of, with parameters [seeds, …], instead.

    Raises:
        InputError: a fixed agent is missing, the environment's spaces do not suit the networks, or an environment of
            the user's own does not keep to the protocol.
    """
    fixed, partners = fixed or {}, partners or {}
    _check(config, objective, environment, {**fixed, **partners})
    plan, parts = make_plan(objective), 1
    if config.sampling == "weighted":
        plan, parts = weighted(plan)
    shared = environment.one_policy_for_both_seats
    policies = {
        name: make_agent_policy(
            environment.spaces, plan.seats_of(name), shared=shared, make_network=lambda n: actor_network(config, n)
        )
        for name in (*objective.bases, *objective.manipulators)
    }
    policies |= {name: policy for name, (policy, _) in (*fixed.items(), *partners.items())}
    _check_mixed_play(objective, policies)
    return Problem(
        plan=plan,
        environment=environment,
        policies=policies,
        fixed={name: _in_precision(parameters, config.precision) for name, (_, parameters) in fixed.items()},
        critic=_critic_network(config),
        numbers=_numbers(config, objective, parts),
        base_optimizer=_optimizer(
            config.base_optimizer, config.base_max_norm, epsilon_root=config.base_epsilon_root or 0.0
        ),
        manipulator_optimizer=_optimizer(
            config.manipulator_optimizer,
            config.manipulator_max_norm,
            epsilon=config.manipulator_epsilon or ADAM_EPSILON,
        ),
        critic_optimizer=_optimizer(config.critic_optimizer, None),
        training_game=_training_game(config, environment),
        partners={name: _in_precision(parameters, config.precision) for name, (_, parameters) in partners.items()},
    )


def _check_mixed_play(objective: Objective, policies: Mapping[str, AgentPolicy]) -> None:
    for edge in objective.edges:
        if edge.mixed_with and (policies[edge.learner].memory_units or policies[edge.mixed_with].memory_units):
            raise InputError(MEMORY_AND_MIXED_PLAY)


def begins_in_its_only_state(environment: Environment) -> bool:
    """Whether there is nowhere else to begin, so that exploring starts change nothing."""
    return isinstance(environment, TabularGame) and environment.is_normal_form


def _training_game(config: "TrainConfig", environment: Environment) -> Environment | None:
    """What training plays, where that is not the environment itself."""
    symmetries = environment.symmetries() if config.symmetries else None
    if config.exact:
        assert isinstance(environment, TabularGame), "checked before"
        return None if symmetries is None else averaged_over(environment, symmetries)
    game = environment
    explores = config.exploring_starts and not begins_in_its_only_state(environment)
    if explores and not environment.has_exploring_starts:
        game = ReachableStarts(game)
    if symmetries is not None:
        game = OtherPlay(game, symmetries)
    if explores:
        game = ExploringStarts(game, config.exploring_starts or 0.0)
    return None if game is environment else game


def _check(config: "TrainConfig", objective: Objective, environment: Environment, fixed: Mapping[str, Any]) -> None:
    if not type(environment).__module__.startswith("rpax."):
        check_environment(environment)
    if config.exact and not isinstance(environment, TabularGame):
        raise InputError(f"environment '{environment.name}' was registered as tabular but is no TabularGame")
    if config.exploring_starts and config.exact and not begins_in_its_only_state(environment):
        raise InputError("exact mode has no exploring starts; set exploring_starts to 0")
    for name in objective.fixed:
        if name not in fixed:
            raise InputError(f"algorithm '{objective.name}' needs the fixed agent '{name}'; give {name}=RUN:AGENT")
    shapes = [space.observation_shape for space in environment.spaces]
    if config.network == "cnn" and (len(shapes[0]) != 3 or shapes[0][:2] != shapes[1][:2]):
        raise InputError(
            f"network 'cnn' needs images of one size for both seats, '{environment.name}' shows {shapes}; use 'mlp'"
        )
    if environment.one_policy_for_both_seats and environment.spaces[0] != environment.spaces[1]:
        raise InputError(f"environment '{environment.name}' shares one policy but its seats' spaces differ")


def actor_network(config: "TrainConfig", num_actions: int) -> nn.Module:
    """The network of a policy head."""
    if config.network == "tabular":
        return Tabular(num_actions)
    layers: dict[str, Any] = {"hidden_sizes": tuple(config.hidden_sizes or ()), "activation": config.activation}
    if config.network == "cnn":
        return CNN(num_actions, channels=tuple(config.channels or ()), **layers)
    if config.network == "gru":
        return GRU(num_actions, memory_units=config.memory_units or 0, **layers)
    return MLP(num_actions, **layers)


def _in_precision(parameters: Parameters, precision: str | None) -> Parameters:
    """Fixed agents compute in the run's precision, whatever they were trained in."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, precision or "float32"), parameters)


def _critic_network(config: "TrainConfig") -> nn.Module:
    if config.network == "tabular":
        return Tabular(2, scale=0.0)
    layers: dict[str, Any] = {"hidden_sizes": tuple(config.hidden_sizes or ()), "activation": config.activation}
    if config.network == "cnn":
        return CNN(2, channels=tuple(config.channels or ()), output_scale=1.0, **layers)
    return MLP(2, output_scale=1.0, **layers)


def _optimizer(kind: Any, max_norm: float | None, **adam: float) -> Optimizer:
    return Optimizer(kind, max_norm or None, **adam)


def _numbers(config: "TrainConfig", objective: Objective, parts: int) -> Hyperparameters:
    values: dict[str, Any] = {name: getattr(config, name) for name in Hyperparameters.__dataclass_fields__}
    values["envs"], rest = divmod(values["envs"], parts)
    if rest:
        raise InputError(f"sampling 'weighted' divides envs by {parts}, which {config.envs} cannot be; change it")
    if not objective.manipulators:
        # Nobody differentiates through the lookahead; its first step yields the batch that the base agents learn from.
        values["lookahead"] = 1
    return Hyperparameters(**values)
