"""A user's own policy as a function: how it is called, and what of its answers is refused.

NumPy only: how compiled programs come here is the affair of :mod:`rpax.policies.external`.
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rpax.environments.own_files import running
from rpax.environments.protocol import SeatSpace
from rpax.errors import InputError, shown

#: What a function may take beside the observations, by name.
_BESIDE = ("seat", "legal")
#: How far probabilities may add up to something else than 1: sums of half precision are this bad.
_TOLERANCE = 2e-3
_CHOOSE_LEGAL = "take the argument legal, [batch, actions], and choose among those"


@dataclasses.dataclass(frozen=True)
class JaxPolicy:
    """A function that is traced into programs instead of being called back; what :func:`jax_policy` returns.

    Attributes:
        function: from a batch of observations to actions or probabilities, in JAX.
    """

    function: Callable[..., Any]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function answers."""
        return self.function(*arguments, **named)


def jax_policy(function: Callable[..., Any]) -> JaxPolicy:
    """Mark a policy that JAX can trace, so that it runs inside compiled programs; may be used as a decorator.

    Args:
        function: from a batch of observations, a JAX array [batch, …], to actions [batch] or probabilities
            [batch, actions]. It is given ``seat`` and ``legal`` where it has arguments of these names. It must be pure:
            what it draws from ``numpy.random``, or reads elsewhere, is read once and stays.

    Raises:
        InputError: it cannot be called.

    >>> always_first = jax_policy(lambda observations: observations.reshape(len(observations), -1).argmax(axis=1) * 0)
    """
    if not callable(function):
        raise InputError(f"jax_policy takes a function, not {shown(function)}; give one of a batch of observations")
    return JaxPolicy(function)


@dataclasses.dataclass(frozen=True, eq=False)
class PolicyFunction:
    """A function from a batch of observations to actions or probabilities.

    Attributes:
        called: how messages call it, like ``partner: function 'heuristic'``.
        function: the user's own.
        takes: what of ``seat`` and ``legal`` it takes beside the observations.
    """

    called: str
    function: Callable[..., Any]
    takes: tuple[str, ...]

    @classmethod
    def of(cls, role: str, function: Callable[..., Any]) -> "PolicyFunction":
        """The function of the agent ``role``, once it is clear how to call it.

        Raises:
            InputError: it needs arguments that it is not called with.
        """
        function = function.function if isinstance(function, JaxPolicy) else function
        called = f"{role}: function {shown(name_of(function))}"
        try:
            # A torch module's own __call__ takes anything and passes it on.
            signature = inspect.signature(function.forward if _is_torch_module(function) else function)  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            return cls(called, function, ())
        kinds = inspect.Parameter
        named = {
            name
            for name, parameter in signature.parameters.items()
            if parameter.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
        }
        takes = tuple(name for name in _BESIDE if name in named)
        try:
            signature.bind(None, **dict.fromkeys(takes))
        except TypeError:
            raise InputError(
                f"{called} takes {signature}; it is called with the observations, and with seat and legal where it has "
                "arguments of these names"
            ) from None
        return cls(called, function, takes)

    def check_seats(self, spaces: tuple[SeatSpace, SeatSpace], seats: tuple[int, ...]) -> None:
        """Whether the function can tell the seats that it plays apart, where they have different actions.

        Raises:
            InputError: it cannot.
        """
        if len({spaces[seat].num_actions for seat in seats}) > 1 and "seat" not in self.takes:
            raise InputError(
                f"{self.called} cannot play two seats with different actions; use --sides single, or let it take the "
                "argument seat"
            )

    def ask(self, observations: Any, seat: int | None, legal: Any) -> Any:
        """What the function answers.

        Args:
            observations: [batch, …], as the environment shows them.
            seat: where the agent sits; ``None`` for a function that does not take it.
            legal: [batch, actions], or ``None`` where every action is legal.
        """
        beside = {"seat": seat, "legal": legal}
        return self.function(observations, **{name: beside[name] for name in self.takes})

    def probabilities(
        self,
        observations: Shaped[np.ndarray, "batch ..."],
        space: SeatSpace,
        seat: int | None,
        legal: Bool[np.ndarray, "batch actions"] | None,
    ) -> Float[np.ndarray, "batch actions"]:
        """π(· | o) of what the function answers: one-hot where it answers actions.

        Raises:
            InputError: it raises something, or answers something else than actions or probabilities.
        """
        with running(self.called):
            if _is_torch_module(self.function):
                answer = self._ask_torch(observations, seat, legal)
            else:
                answer = self.ask(observations, seat, legal)
            if hasattr(answer, "detach"):
                answer = answer.detach().cpu().numpy()
            answer = np.asarray(answer)
        count, actions = len(observations), space.num_actions
        if answer.shape == (count,) and answer.dtype.kind in "iu":
            self._check_actions(answer, space, legal)
            return np.eye(actions)[answer]
        if answer.shape == (count, actions) and answer.dtype.kind in "biuf":
            chances = answer.astype(np.float64)
            self._check_probabilities(chances, legal)
            return chances
        raise InputError(
            f"{self.called} returned {answer.dtype}{list(answer.shape)} for {count} observations; return actions, "
            f"whole numbers of shape [{count}], or probabilities of shape [{count}, {actions}]"
        )

    def _ask_torch(self, observations: np.ndarray, seat: int | None, legal: np.ndarray | None) -> Any:
        """The answer of a torch module, which takes tensors where its weights are."""
        torch = sys.modules["torch"]
        weight = next(iter(self.function.parameters()), None)  # type: ignore[attr-defined]
        device = "cpu" if weight is None else weight.device

        def tensor(array: np.ndarray) -> Any:
            return torch.from_numpy(array).to(device)

        with torch.no_grad():
            return self.ask(
                tensor(observations.astype(np.float32)), seat, None if legal is None else tensor(legal.copy())
            )

    def _check_actions(self, actions: np.ndarray, space: SeatSpace, legal: np.ndarray | None) -> None:
        most = space.num_actions - 1
        wrong = actions[(actions < 0) | (actions > most)]
        if wrong.size:
            raise InputError(f"{self.called} returned action {wrong[0]}; actions are 0 to {most}")
        if legal is None:
            return
        # Where nothing is legal the game is over.
        refused = legal.any(axis=1) & ~legal[np.arange(len(actions)), actions]
        for number in np.flatnonzero(refused)[:1]:
            allowed = ", ".join(map(str, np.flatnonzero(legal[number])))
            raise InputError(
                f"{self.called} returned action {actions[number]} ({space.name_of(int(actions[number]))}) where only "
                f"{allowed} {'is' if legal[number].sum() == 1 else 'are'} legal; {_CHOOSE_LEGAL}"
            )

    def _check_probabilities(self, chances: np.ndarray, legal: np.ndarray | None) -> None:
        """Whether every row is a distribution that some legal action can be drawn from."""
        sums = chances.sum(axis=1)
        for wrong, why in (
            (~np.isfinite(chances).all(axis=1), "which is not finite"),
            ((chances < 0).any(axis=1), "which is below 0"),
            (np.abs(sums - 1) > _TOLERANCE, "which does not add up to 1"),
        ):
            for number in np.flatnonzero(wrong)[:1]:
                raise InputError(
                    f"{self.called} returned the probabilities {shown(chances[number].round(4).tolist())}, {why}; "
                    "return numbers of at least 0 that add up to 1 (of logits, the softmax), or actions"
                )
        if legal is not None and (legal.any(axis=1) & ~(chances * legal > 0).any(axis=1)).any():
            raise InputError(f"{self.called} gave no legal action any probability; {_CHOOSE_LEGAL}")


def name_of(function: Callable[..., Any]) -> str:
    """What a function, or an object that can be called, is called."""
    inner = function.function if isinstance(function, JaxPolicy) else function
    return getattr(inner, "__name__", type(inner).__name__)


def _is_torch_module(function: Any) -> bool:
    """Whether this is a ``torch.nn.Module``; then torch is there already."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(function, torch.nn.Module)
