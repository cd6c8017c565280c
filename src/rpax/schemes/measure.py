"""Returns of policies that are not in training: exact in tabular games, from fresh episodes elsewhere."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from rpax.environments.protocol import Environment
from rpax.environments.tabular_game import TabularGame
from rpax.evaluation.results import Measured, SeedResult, evaluate_seed
from rpax.evaluation.returns import Sampler, make_sampler
from rpax.objectives.catalogue import algorithm
from rpax.objectives.edges import Objective
from rpax.policies.agent import Parameters
from rpax.runs.agent import Agent
from rpax.runs.config import TrainConfig
from rpax.training.problem import Problem, key_data
from rpax.training.setup import make_problem
from rpax.training.trainer import pairing_returns, policy_tables


@dataclasses.dataclass(frozen=True)
class Table:
    """Returns of the pairings of an objective, for any parameters of its agents.

    Attributes:
        problem: whose pairings, in its environment as it is.
        sample: plays them.
        precision: of the arithmetic.
    """

    problem: Problem
    sample: Sampler
    precision: str

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        objective: Objective,
        environment: Environment,
        agents: Mapping[str, Agent],
        episodes: int,
    ) -> "Table":
        """The pairings of an objective, all of whose agents are given; ``episodes`` of each are played."""
        plain = dataclasses.replace(config, sampling="uniform", exploring_starts=0.0, symmetries=False)
        fixed = {name: (agents[name].policy, agents[name].parameters) for name in objective.fixed}
        problem = make_problem(plain, objective, environment, fixed)
        # Parameters come with each call instead.
        problem = dataclasses.replace(
            problem, fixed={}, policies={name: agents[name].policy for name in objective.agents}
        )
        return cls(problem, make_sampler(problem, episodes), config.precision or "float32")

    def returns(self, parameters: Mapping[str, Parameters], key: jax.Array) -> np.ndarray:
        """[pairings, 2], in the order of ``problem.plan.reported_pairings``."""
        with jax.enable_x64(self.precision == "float64"):
            if isinstance(self.problem.environment, TabularGame):
                return np.asarray(self._exact(dict(parameters)))
            return self.sample(parameters, key).mean

    @functools.cached_property
    def _exact(self):
        return jax.jit(functools.partial(pairing_returns, self.problem))


def self_play_returns(
    config: TrainConfig, environment: Environment, agents: Mapping[int, Sequence[Agent]], episodes: int
) -> dict[int, list[float]]:
    """What policies return with themselves, averaged over both seats, by seed.

    Args:
        config: of the self-play run that they come from.
        environment: where they play.
        agents: each seed's policies.
        episodes: how many each one plays where returns are not exact.
    """
    like = next(iter(agents.values()))[0]
    table = Table.of(config, algorithm("sp"), environment, {"base_0": like}, episodes)

    def of_agent(agent: Agent) -> float:
        return float(table.returns({"base_0": agent.parameters}, key_data(0)).mean())

    return {seed: [of_agent(agent) for agent in its] for seed, its in agents.items()}


def evaluate_members(
    config: TrainConfig, objective: Objective, environment: Environment, members: Mapping[int, Mapping[str, Agent]]
) -> tuple[SeedResult, ...]:
    """Every seed's results of agents that were trained elsewhere.

    Args:
        config: a complete configuration.
        objective: which pairings are reported.
        environment: where they play.
        members: seed to name to agent.
    """
    agents = next(iter(members.values()))
    table = Table.of(config, objective, environment, agents, config.evaluation_episodes)
    with jax.enable_x64(table.precision == "float64"):
        return tuple(_of_seed(table, seed, its) for seed, its in members.items())


def _of_seed(table: Table, seed: int, agents: Mapping[str, Agent]) -> SeedResult:
    parameters = {name: agent.parameters for name, agent in agents.items()}
    tables, returns = {}, None
    if isinstance(table.problem.environment, TabularGame):
        tables = {
            name: {seat: np.asarray(of_seat) for seat, of_seat in policy_tables(table.problem, name, its).items()}
            for name, its in parameters.items()
        }
        returns = table.returns(parameters, key_data(seed))
    return evaluate_seed(table.problem, seed, Measured(parameters, tables, returns, {}), table.sample)
