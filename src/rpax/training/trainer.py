"""Many seeds, many updates, one compiled program: the loop body of a training run."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Int

from rpax.environments.tabular_game import TabularGame
from rpax.objectives.plan import distinct
from rpax.policies.agent import Parameters
from rpax.policies.asked import is_called_back
from rpax.training.exact_step import exact_step, returns_of
from rpax.training.first_layers import has_room_for_first_layers
from rpax.training.initial import initial_state
from rpax.training.metrics import StepMetrics
from rpax.training.packing import layouts_of, pack, unpack
from rpax.training.placement import Devices, mesh_for, on_each_device, place
from rpax.training.problem import Problem, TrainState, key_data
from rpax.training.step import step


class Report(NamedTuple):
    """What is known after a chunk of updates; every array has a leading seed axis.

    Attributes:
        metrics: the means of :class:`StepMetrics` over the chunk's updates.
        finite: per learning agent (and ``critics``), whether its parameters and gradients are finite.
        policies: in tabular games, agent to seat to action probabilities [seeds, states, actions].
        returns: in tabular games, exact returns of every pairing [seeds, pairings, 2]; else ``None``.
        skipped: how many of the chunk's updates were left out, as their results were not finite; ``None`` where none
            may be. The means are over the others.
    """

    metrics: StepMetrics
    finite: dict[str, Bool[Array, " seeds"]]
    policies: dict[str, dict[int, Array]]
    returns: Array | None
    skipped: Int[Array, " seeds"] | None = None


class Guarded(NamedTuple):
    """What an update reports that is left out where its result is not finite; a sum of such.

    Attributes:
        metrics: zeros where it was left out.
        skipped: whether it was.
    """

    metrics: StepMetrics
    skipped: Int[Array, "..."]


#: (state, number of updates) to the state after them and a report.
Advance = Callable[[TrainState, Int[Array, ""]], tuple[TrainState, Report]]


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Trains all seeds of a problem in chunks of any number of updates.

    Attributes:
        problem: what is trained.
        seeds: the seeds; the leading axis of everything.
        exact: exact gradients instead of sampled play.
        precision: ``"float32"`` or ``"float64"``.
        keep: makes a program of the function behind :meth:`advance` that is traced only once for many processes, see
            :mod:`rpax.runs.traced_programs`; ``None`` traces it in this one.
        skip_non_finite: updates whose results are not finite are left out, of the seeds concerned.
    """

    problem: Problem
    seeds: tuple[int, ...]
    exact: bool
    precision: str
    keep: Callable[[Advance], Advance] | None = None
    skip_non_finite: bool = False

    def init(self) -> TrainState:
        """The state before the first update."""
        with self.precision_context():
            return self.place(self._init(self._keys(), dict(self.problem.partners)))

    def place(self, state: TrainState) -> TrainState:
        """A state from elsewhere (a checkpoint) on the devices that :meth:`advance` works on."""
        return state if self._mesh is None else place(state, self._mesh)

    def state_shape(self) -> TrainState:
        """Shapes and types of the state, without computing it."""
        with self.precision_context():
            return jax.eval_shape(self._init, self._keys(), dict(self.problem.partners))

    def advance(self, state: TrainState, updates: int) -> tuple[TrainState, Report]:
        """Make ``updates`` updates. The number is an argument of one compiled program, so any number is cheap.

        ``state`` is donated: it must not be used afterwards.
        """
        with self.precision_context():
            return self._advance(state, jnp.asarray(updates, jnp.int32))

    def report(self, state: TrainState) -> Report:
        """What is known about ``state`` without training."""
        with self.precision_context():
            return self.advance(jax.tree.map(jnp.copy, state), 0)[1]

    @functools.cached_property
    def _init(self):
        # Jitted once, so that the state and its shape come from one tracing.
        return jax.jit(self._initial_states)

    @functools.cached_property
    def _advance(self):
        return self._traced_here if self.keep is None else self.keep(self._advance_all)

    @functools.cached_property
    def _traced_here(self):
        return jax.jit(self._advance_all, donate_argnums=0)

    def lower(self, state: TrainState) -> Any:
        """The traced and lowered program of :meth:`advance`, for measuring how long it takes to compile."""
        with self.precision_context():
            return self._traced_here.lower(state, jnp.asarray(1, jnp.int32))

    def precision_context(self) -> AbstractContextManager[Any]:
        """Whatever computes with this trainer's parameters does so inside this context."""
        return jax.enable_x64(self.precision == "float64")

    @property
    def devices(self) -> int:
        """Over how many devices the environments are spread."""
        return 1 if self._mesh is None else self._mesh.size

    @functools.cached_property
    def _mesh(self) -> Mesh | None:
        numbers = self.problem.numbers
        # Tables and the minibatches of PPO are too small to be worth dividing (docs/performance.md); a derivative by
        # autodiff would have to go through the exchanges.
        too_small = isinstance(self.problem.environment, TabularGame) or numbers.base_update == "ppo"
        # Functions that are called back take turns anyway, and a device that waits for its turn would hold up others.
        takes_turns = any(map(is_called_back, self.problem.policies.values()))
        if too_small or takes_turns or numbers.manipulator_gradient == "autodiff":
            return None
        rows = self.problem.plan.lookahead_pairings
        return mesh_for(numbers.envs, len(distinct(rows)), len(rows))

    def on_each_device(self, function: Callable[..., Any], *, returns_state: bool) -> Callable[..., Any]:
        """``function(problem, state, …)`` of all seeds as a function of ``(state, …)``, run on every device.

        With sampled play the function gets a :mod:`packed <rpax.training.packing>` state, and returns one. See
        :func:`rpax.training.placement.on_each_device`.
        """
        problem = self.problem
        if self._mesh is not None:
            problem = dataclasses.replace(problem, devices=Devices(self._mesh.size))

        def of_device(state: TrainState, *others: Any) -> Any:
            if self.exact:
                return function(problem, state, *others)
            keep = has_room_for_first_layers(problem, len(self.seeds))
            packing = dataclasses.replace(problem, layouts=layouts_of(state, seed_axes=1), keep_first_layers=keep)
            found = function(packing, pack(packing, state), *others)
            return (unpack(packing, found[0], state), *found[1:]) if returns_state else found

        return (
            of_device
            if self._mesh is None
            else on_each_device(of_device, self._mesh, self.state_shape(), returns_state)
        )

    def _keys(self) -> Array:
        return jnp.stack([key_data(seed) for seed in self.seeds])

    def _initial_states(self, keys: Array, partners: dict[str, Parameters] | None = None) -> TrainState:
        def of_seed(its: tuple[Array, dict[str, Parameters]]) -> TrainState:
            return initial_state(self.problem, its[0], exact=self.exact, partners=its[1])

        # One seed after the other: batched QR (of orthogonal initialisation) can deadlock in jaxlib's CPU thread pool.
        return jax.lax.map(of_seed, (keys, partners or {}))

    def _advance_all(self, state: TrainState, updates: Int[Array, ""]) -> tuple[TrainState, Report]:
        make_updates = self.on_each_device(self._make_updates, returns_state=True)
        state, total = make_updates(state, updates)
        if isinstance(total, Guarded):
            made = jnp.maximum(updates - total.skipped, 1)
            mean = jax.tree.map(lambda leaf: leaf / made.reshape(-1, *[1] * (leaf.ndim - 1)), total.metrics)
            return state, self._report(state, mean)._replace(skipped=total.skipped)
        mean = jax.tree.map(lambda leaf: leaf / jnp.maximum(updates, 1), total)
        return state, self._report(state, mean)

    def _make_updates(
        self, problem: Problem, state: TrainState, updates: Int[Array, ""]
    ) -> tuple[TrainState, StepMetrics | Guarded]:
        """The state after ``updates`` updates, and the sum of their metrics."""
        # Jitted so that finding out the shapes and compiling the loop share one tracing.
        one_seed = functools.partial(exact_step if self.exact else step, problem)
        if self.skip_non_finite:
            one_seed = guarded(one_seed)
        one_update = jax.jit(without_axis(one_seed) if len(self.seeds) == 1 else jax.vmap(one_seed), inline=True)

        def body(_, carry):
            state, total = carry
            state, metrics = one_update(state)
            return state, jax.tree.map(jnp.add, total, metrics)

        shapes = jax.eval_shape(one_update, state)[1]
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return jax.lax.fori_loop(0, updates, body, (state, nothing))

    def _report(self, state: TrainState, metrics: StepMetrics) -> Report:
        learning = {**state.base, **state.manipulators, "critics": state.critics}
        norms = metrics.base_gradient_norm | metrics.manipulator_gradient_norm | {"critics": metrics.critic_loss}
        finite = {name: _all_finite((learning[name], norms[name])) for name in learning}
        if not isinstance(self.problem.environment, TabularGame):
            return Report(metrics, finite, {}, None)
        everyone = {**state.base, **state.manipulators, **state.partners}
        policies = {
            name: jax.vmap(lambda p, name=name: policy_tables(self.problem, name, p))(its)
            for name, its in everyone.items()
        }
        returns = jax.vmap(functools.partial(pairing_returns, self.problem))(everyone)
        return Report(metrics, finite, policies, returns)


def guarded(
    one_update: Callable[[TrainState], tuple[TrainState, StepMetrics]],
) -> Callable[[TrainState], tuple[TrainState, Guarded]]:
    """One seed's update, which leaves the state as it was where what is learned, or a step or loss, is not finite.

    Only the count of updates goes on, and with it the update's key: the next one draws new chance. What is looked at is
    the same on every device.
    """

    def apply(state: TrainState) -> tuple[TrainState, Guarded]:
        following, metrics = one_update(state)
        learned = (following.base, following.manipulators, following.critics, following.outer_gradients)
        optimizers = (following.base_optimizer, following.manipulator_optimizer, following.critic_optimizer)
        steps = (metrics.base_gradient_norm, metrics.manipulator_gradient_norm, metrics.critic_loss)
        leaves = [leaf for leaf in jax.tree.leaves((learned, optimizers, steps)) if is_real(leaf)]
        fine = jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()
        kept = jax.tree.map(functools.partial(jnp.where, fine), following, state)._replace(update=following.update)
        metrics = jax.tree.map(lambda leaf: jnp.where(fine, leaf, jnp.zeros_like(leaf)), metrics)
        return kept, Guarded(metrics, (~fine).astype(jnp.int32))

    return apply


def is_real(leaf: Any) -> bool:
    """Whether an array holds floating-point numbers."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def without_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    """``jax.vmap(function)`` over a single entry, which is traced, compiled and run faster without the axis."""

    def of_one(*arguments: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], function(*jax.tree.map(lambda leaf: leaf[0], arguments)))

    return of_one


def policy_tables(problem: Problem, agent: str, parameters: Parameters) -> dict[int, Array]:
    """An agent's action probabilities in every state of a tabular game, for every seat it plays."""
    game = problem.environment
    assert isinstance(game, TabularGame), "called for tabular games only"
    policy = problem.policies[agent]
    return {seat: policy.table(parameters, seat, game.all_observations()) for seat in policy.head_of_seat}


def pairing_returns(problem: Problem, parameters: dict[str, Parameters]) -> Array:
    """Exact returns of every pairing of a tabular game: [pairings, 2]."""
    game = problem.environment
    assert isinstance(game, TabularGame), "called for tabular games only"
    everyone = {**parameters, **problem.fixed}
    tables = {name: policy_tables(problem, name, everyone[name]) for name in everyone}
    return jnp.stack(
        [returns_of(game, tables[p.seat_0][0], tables[p.seat_1][1]) for p in problem.plan.reported_pairings]
    )


def _all_finite(tree: Any) -> Bool[Array, " seeds"]:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if is_real(leaf)]
    # Side by side they are checked by one small program instead of one each, which all have to be compiled.
    return jnp.isfinite(jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)).all(axis=1)


def one_seed(tree: Any, index: int) -> Any:
    """The entries of one seed, as numpy arrays."""
    return jax.tree.map(lambda leaf: np.asarray(leaf[index]), tree)


def learners_not_finite(report: Report, seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Which agents of which seeds have parameters or gradients that are not finite."""
    return [
        (name, seed)
        for name, flags in report.finite.items()
        for seed, fine in zip(seeds, np.asarray(flags), strict=True)
        if not fine
    ]
