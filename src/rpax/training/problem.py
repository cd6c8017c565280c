"""What a training step needs besides its state: plan, environment, networks and numbers. Built once a run."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from rpax.environments.encoding import EncodedEnvironment, Encoding
from rpax.environments.protocol import Environment, Key
from rpax.objectives.plan import Plan
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.policies.folding import can_fold
from rpax.policies.layout import Layout
from rpax.training.optimizers import Optimizer, OptimizerState
from rpax.training.placement import ONE_DEVICE, Devices


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """The numbers of one training step, in the paper's notation.

    Attributes:
        lookahead: N, differentiable base updates that a manipulator differentiates through.
        lookahead_rate: α1.
        manipulator_rate: α2.
        base_rate: α3.
        critic_rate: learning rate of the critics.
        discount: γ.
        gae_decay: λ of GAE.
        dice_decay: λ of Loaded DiCE; enters second derivatives only.
        outer_average: κ, decay of the running average of the outer gradients u; 0 takes each update's own.
        entropy: β, coefficient of the base agents' entropy bonus; what it falls to, if it falls.
        entropy_start: what β falls from.
        entropy_updates: after how many updates it has fallen, linearly; 0 if it does not fall.
        manipulator_entropy: coefficient of the manipulators' entropy bonus.
        shaping: coefficient of the environment's shaped reward in training; never part of a reported return.
        shaping_updates: after how many updates the shaped reward is gone, falling linearly; 0 keeps it.
        normalize: normalise advantages, pooled per learner.
        manipulator_gradient: the closed form (influence credits), or autodiff through the lookahead.
        influence: in exact mode, whether a manipulator differentiates through its shaped base agent's lookahead
            only, or through that of every base agent.
        envs: parallel environments of each pairing, or of each of its repetitions.
        steps: steps of one rollout chunk.
        base_update: the base agents' real step: one plain policy-gradient step, or PPO.
        ppo_epochs: how often PPO goes through the batch.
        ppo_minibatches: in how many parts.
        ppo_clip: how far PPO lets the probability ratio move from 1.
    """

    lookahead: int
    lookahead_rate: float
    manipulator_rate: float
    base_rate: float
    critic_rate: float
    discount: float
    gae_decay: float
    dice_decay: float
    outer_average: float
    entropy: float | Float[Array, ""]
    entropy_start: float
    entropy_updates: int
    manipulator_entropy: float
    shaping: float | Float[Array, ""]
    shaping_updates: int
    normalize: bool
    manipulator_gradient: Literal["closed-form", "autodiff"]
    influence: Literal["shaped", "joint"]
    envs: int
    steps: int
    base_update: Literal["pg", "ppo"]
    ppo_epochs: int
    ppo_minibatches: int
    ppo_clip: float

    @property
    def has_entropy_bonus(self) -> bool:
        """Whether β may be above 0."""
        return self.entropy_updates > 0 or bool(self.entropy)

    def at(self, update: Int[Array, ""]) -> "Hyperparameters":
        """The numbers of one update: ``entropy`` and ``shaping`` have its value, a traced number where they fall."""

        def left(updates: int) -> Float[Array, ""]:
            return jnp.maximum(0.0, 1.0 - update / updates)

        changed: dict[str, Any] = {}
        if self.entropy_updates:
            changed["entropy"] = self.entropy + (self.entropy_start - self.entropy) * left(self.entropy_updates)
        if self.shaping_updates:
            changed["shaping"] = self.shaping * left(self.shaping_updates)
        return dataclasses.replace(self, **changed)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Everything about a training run that is known before it begins.

    Attributes:
        plan: the objective with its pairings and terms.
        environment: the game; a :class:`~rpax.environments.tabular_game.TabularGame` in exact mode.
        policies: the networks of every agent, fixed ones included, on the environment's own observations.
        fixed: the parameters of the agents that never learn and are the same for all seeds.
        partners: those of the agents that never learn and that each seed has its own of, [seeds, …]; the state begins
            with them.
        critic: from a joint observation to one value a seat; one set of parameters for each pairing.
        numbers: the hyperparameters.
        base_optimizer: of every base agent; its state serves the lookahead too.
        manipulator_optimizer: of every manipulator.
        critic_optimizer: of all critics together.
        training_game: what training plays where that is not the environment itself: with exploring starts, or seen
            through its symmetries; in exact mode a tabular game too.
        devices: what an update is spread over; set by the trainer, for code that runs on each of them.
        layouts: where parameters come :mod:`packed <rpax.training.packing>`, each learner's layout; set by the trainer.
        keep_first_layers: whether chunks have what :mod:`first layers <rpax.training.first_layers>` gave; set by the
            trainer.
    """

    plan: Plan
    environment: Environment
    policies: Mapping[str, AgentPolicy]
    fixed: Mapping[str, Parameters]
    critic: nn.Module
    numbers: Hyperparameters
    base_optimizer: Optimizer
    manipulator_optimizer: Optimizer
    critic_optimizer: Optimizer
    training_game: Environment | None = None
    partners: Mapping[str, Parameters] = dataclasses.field(default_factory=dict)
    devices: Devices = ONE_DEVICE
    layouts: Mapping[str, Layout] | None = None
    keep_first_layers: bool = False

    def at(self, update: Int[Array, ""]) -> "Problem":
        """The problem of one update, as its phases take it, with :meth:`its numbers <Hyperparameters.at>`."""
        return dataclasses.replace(self, numbers=self.numbers.at(update))

    @functools.cached_property
    def encodings(self) -> tuple[Encoding, Encoding] | None:
        """The environment's encodings, if every network can take them."""
        networks = [self.critic, *(n for policy in self.policies.values() for n in policy.networks.values())]
        encodings = (self.training_game or self.environment).encodings
        return encodings if all(map(can_fold, networks)) else None

    @functools.cached_property
    def stage(self) -> Environment:
        """What is played on: the environment, showing what is stored of its observations."""
        return self._showing_what_is_stored(self.environment)

    @functools.cached_property
    def training_stage(self) -> Environment:
        """What training plays on."""
        return self.stage if self.training_game is None else self._showing_what_is_stored(self.training_game)

    def _showing_what_is_stored(self, environment: Environment) -> Environment:
        return environment if self.encodings is None else EncodedEnvironment(environment)

    @functools.cached_property
    def players(self) -> Mapping[str, AgentPolicy]:
        """The agents' networks on the :attr:`stage`; parameters are folded before they are used."""
        layouts = self.layouts or {}
        return {
            name: dataclasses.replace(policy, encodings=self.encodings, layout=layouts.get(name))
            for name, policy in self.policies.items()
        }

    @property
    def memory_units(self) -> int:
        """The size of what the agent that remembers most carries from step to step."""
        return max(policy.memory_units for policy in self.policies.values())

    @property
    def bases(self) -> tuple[str, ...]:
        """The base agents, in order."""
        return self.plan.objective.bases

    @property
    def manipulators(self) -> tuple[str, ...]:
        """The manipulators, in order."""
        return self.plan.objective.manipulators

    def shaped_by(self, manipulator: str) -> str:
        """The base agent that ``manipulator`` shapes."""
        return self.plan.objective.shaped_by(manipulator)

    def manipulators_of(self, base: str) -> tuple[str, ...]:
        """The manipulators that shape ``base``."""
        return tuple(name for name in self.manipulators if self.shaped_by(name) == base)


class Streams(NamedTuple):
    """Environments in progress, carried from one chunk to the next; every field [pairings, envs, …].

    Attributes:
        state: the environments' states.
        first: whether the next step starts an episode.
        episode_return: raw return of each seat in the episode so far.
        memory: what seat 0 and seat 1 carry to the next step, ``None`` where nobody remembers anything.
        mixing: in how many more steps of the episode players are mixed, ``None`` where no pairing is mixed-play.
    """

    state: Any
    first: Array
    episode_return: Array
    memory: tuple[Array, Array] | None = None
    mixing: Array | None = None


class TrainState(NamedTuple):
    """All that a run's future depends on; one seed's (the trainer adds a leading seed axis).

    Attributes:
        base: θ, base agent to parameters.
        base_optimizer: base agent to optimiser state.
        manipulators: φ, manipulator to parameters.
        manipulator_optimizer: manipulator to optimiser state.
        critics: the critics' parameters, stacked over ``plan.all_pairings``; empty in exact mode.
        critic_optimizer: one optimiser state for all critics.
        lookahead_streams: environments of the lookahead pairings; ``None`` in exact mode.
        outer_streams: environments of the outer pairings; ``None`` where there are none.
        outer_gradients: manipulator to the running average of u; empty where each update's own is taken.
        key: the seed's key; the key of an update is folded from it, so it never changes.
        update: how many updates have been made.
        partners: agent to the parameters of what never learns and each seed has its own of. They may be exchanged
            between chunks of updates.
    """

    base: dict[str, Parameters]
    base_optimizer: dict[str, OptimizerState]
    manipulators: dict[str, Parameters]
    manipulator_optimizer: dict[str, OptimizerState]
    critics: Parameters
    critic_optimizer: OptimizerState
    lookahead_streams: Streams | None
    outer_streams: Streams | None
    outer_gradients: dict[str, Parameters]
    key: Key
    update: Int[Array, ""]
    partners: dict[str, Parameters]


def global_norm(tree: Parameters) -> Array:
    """The Euclidean norm of all leaves together."""
    import optax

    return optax.tree.norm(tree)


def key_data(seed: int) -> Array:
    """The raw key of a seed (raw, so that checkpoints hold plain integers)."""
    return jax.random.key_data(jax.random.key(seed))
