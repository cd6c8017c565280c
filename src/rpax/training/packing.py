"""Every learner's parameters in one vector, while updates are made.

What an update does with parameters as a whole (optimisers, norms, sums, exchanges between devices) then is one
operation a learner instead of one a layer, which compiles, traces and runs faster. Networks unpack their vector where
they are :meth:`folded <rpax.policies.agent.AgentPolicy.fold>`, so gradients come out packed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from rpax.policies.layout import Layout

if TYPE_CHECKING:
    from rpax.training.problem import Problem, TrainState

#: The critics among the layouts; no agent can be called so.
CRITICS = "the critics"


def layouts_of(state: "TrainState", seed_axes: int) -> dict[str, Layout]:
    """How each learner's parameters are laid out; the critics' by pairing.

    Args:
        state: arrays or shapes.
        seed_axes: how many axes come before those of one seed.
    """
    learners = {**state.base, **state.manipulators}
    layouts = {name: Layout.of(parameters, seed_axes) for name, parameters in learners.items()}
    return layouts | {CRITICS: Layout.of(state.critics, seed_axes + 1)}


def pack(problem: "Problem", state: "TrainState") -> "TrainState":
    """The state with vectors in the place of parameters, and of what has their structure."""
    return _each_learners(problem, state, lambda layout, tree: _replace(layout, tree, tree, layout.pack))


def unpack(problem: "Problem", packed: "TrainState", like: "TrainState") -> "TrainState":
    """The opposite of :func:`pack`; ``like`` is any state that is not packed."""

    def of_learner(layout: Layout, tree: Any, now: Any) -> Any:
        return _replace(layout, tree, now, layout.unpack)

    return _each_learners(problem, like, of_learner, packed)


def _each_learners(
    problem: "Problem", state: "TrainState", function: Callable[..., Any], *others: "TrainState"
) -> "TrainState":
    layouts = problem.layouts
    assert layouts is not None, "set by the trainer"

    def of(field: str, layout_of: Callable[[str], str] = lambda name: name) -> dict[str, Any]:
        parts = [getattr(one, field) for one in (state, *others)]
        return {name: function(layouts[layout_of(name)], *(part[name] for part in parts)) for name in parts[0]}

    def of_critics(field: str) -> Any:
        return function(layouts[CRITICS], *(getattr(one, field) for one in (state, *others)))

    return (others or (state,))[0]._replace(
        base=of("base"),
        base_optimizer=of("base_optimizer"),
        manipulators=of("manipulators"),
        manipulator_optimizer=of("manipulator_optimizer"),
        critics=of_critics("critics"),
        critic_optimizer=of_critics("critic_optimizer"),
        outer_gradients=of("outer_gradients", problem.shaped_by),
    )


def _replace(layout: Layout, tree: Any, now: Any, function: Callable[[Any], Any]) -> Any:
    """``now``, and in it ``function`` of whatever stands where ``tree`` has the structure of parameters."""

    def is_parameters(part: Any) -> bool:
        return jax.tree.structure(part) == layout.structure

    return jax.tree.map(
        lambda part, its: function(its) if is_parameters(part) else its, tree, now, is_leaf=is_parameters
    )
