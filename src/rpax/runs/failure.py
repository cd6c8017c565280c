"""What became non-finite: which agent's which term, of which seed, in which updates. Imported without JAX."""

import contextlib
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rpax.errors import InputError, NonFiniteError, shown
from rpax.untrusted import NotStrictJSON, check_keys, read_json

if TYPE_CHECKING:
    from rpax.training.problem import TrainState
    from rpax.training.trainer import Report

_MOST_NAMED, _MOST_TERMS = 6, 4
#: Of a file that says so.
_MOST_BYTES = 10**6
_ADVICE = "lower the learning rates or add a gradient limit, and see that rewards and observations are finite"


class NonFinite(NamedTuple):
    """One agent of one seed.

    Attributes:
        agent: a learner's name, or ``critics``.
        seed: whose.
        terms: which of ``parameters``, ``optimiser state``, ``gradient`` and ``critic loss``.
    """

    agent: str
    seed: int
    terms: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' and '.join(self.terms)} of {self.agent} (seed {self.seed})"


def check_finite(state: "TrainState", report: "Report", seeds: Sequence[int], updates: tuple[int, int]) -> None:
    """Stop where something that is learned, or a step, is not finite.

    Args:
        state: after the updates.
        report: of the updates.
        seeds: of the state's leading axis.
        updates: the first and the last of them.

    Raises:
        NonFiniteError: it is not; says what.
    """
    from rpax.training.trainer import learners_not_finite

    broken = learners_not_finite(report, seeds)
    if not broken:
        return
    found = [NonFinite(agent, seed, _terms(state, report, agent, list(seeds).index(seed))) for agent, seed in broken]
    named = ", ".join(map(str, found[:_MOST_NAMED]))
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    first, last = updates
    about = {
        "status": "non-finite",
        "first_update": first,
        "last_update": last,
        "found": [{"agent": it.agent, "seed": it.seed, "terms": list(it.terms)} for it in found],
    }
    raise NonFiniteError(f"{named}{more} not finite after updates {first} to {last}; {_ADVICE}", about)


def told(file: pathlib.Path) -> str | None:
    """What a run directory's ``failure.json`` says, in a line; ``None`` if there is none that can be read."""
    try:
        about = _read(file)
        found = [check_keys(it, {"agent": str, "seed": int, "terms": list}) for it in about["found"]]
    except (InputError, NotStrictJSON):
        return None
    parts = [
        NonFinite(_plain(it["agent"]), it["seed"], tuple(map(_plain, it["terms"][:_MOST_TERMS])))
        for it in found[:_MOST_NAMED]
    ]
    updates = f"{_plain(about['first_update'])} to {_plain(about['last_update'])}"
    named = ", ".join(map(str, parts))
    return f"it stopped as {named} became non-finite in updates {updates}; --on-nonfinite skip leaves such updates out"


def is_over(file: pathlib.Path, update: int) -> bool:
    """Whether a run that came to ``update`` is past what its ``failure.json`` says; also of one that says nothing."""
    if not file.is_file():
        return False
    with contextlib.suppress(InputError, NotStrictJSON):
        return update >= _read(file)["last_update"]
    return True


def _read(file: pathlib.Path) -> dict[str, Any]:
    its = {"status": str, "message": str, "last_checkpoint": (int, type(None))}
    needed = {"found": list, "first_update": int, "last_update": int}
    return check_keys(read_json(file, "remove it", _MOST_BYTES), its | needed, its)


def _plain(value: object) -> str:
    """What a file says, in one line, cut short, and without quotes."""
    return shown(value).strip("'")


def _terms(state: "TrainState", report: "Report", agent: str, index: int) -> tuple[str, ...]:
    import jax

    metrics = report.metrics
    if agent == "critics":
        parts = {"parameters": state.critics, "optimiser state": state.critic_optimizer}
        parts["critic loss"] = metrics.critic_loss
    else:
        of_base = agent in state.base
        learning, optimizer = (
            (state.base, state.base_optimizer) if of_base else (state.manipulators, state.manipulator_optimizer)
        )
        norms = metrics.base_gradient_norm if of_base else metrics.manipulator_gradient_norm
        parts = {"parameters": learning[agent], "optimiser state": optimizer[agent], "gradient": norms[agent]}
    return tuple(term for term, part in parts.items() if not _finite(jax.tree.leaves(part), index))


def _finite(leaves: Iterable[Any], index: int) -> bool:
    own = (np.asarray(leaf)[index] for leaf in leaves)
    return all(np.isfinite(leaf).all() for leaf in own if leaf.dtype.kind == "f")
