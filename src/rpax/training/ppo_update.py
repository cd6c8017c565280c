"""Proximal policy optimisation as the base agents' real step: several clipped steps on one recorded batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rpax.environments.protocol import Key
from rpax.policies.agent import Parameters, View
from rpax.training.critic_update import minibatches
from rpax.training.optimizers import OptimizerState
from rpax.training.parts import Part
from rpax.training.problem import Problem, global_norm
from rpax.training.recorded import map_over_views, sum_over_views, take_envs
from rpax.training.rollout import Chunk


class BaseUpdate(NamedTuple):
    """A base agent after its step or steps, and the means over them.

    Attributes:
        parameters: θ.
        optimizer: its optimiser's state.
        gradient_norm: before clipping to the largest norm.
        entropy: mean entropy of the policy in nats.
        clipped: share of samples whose probability ratio lies outside 1 ± clip; ``None`` where nothing is clipped.
    """

    parameters: Parameters
    optimizer: OptimizerState
    gradient_norm: Float[Array, ""]
    entropy: Float[Array, ""]
    clipped: Float[Array, ""] | None = None


def clipped_steps(
    problem: Problem,
    chunk: Chunk,
    part: Part,
    key: Key,
    parameters: Parameters,
    optimizer: OptimizerState,
    advantage: Float[Array, "time terms envs"],
) -> BaseUpdate:
    """Ascend mean min(ρ Ã, clip(ρ, 1 ± c) Ã) + β H with ρ = π_θ(a|o) / π_old(a|o), epochs × minibatches times.

    Minibatches are parts of the environments, so that recurrent policies see whole sequences. Advantages are those of
    the plain step: weighted, pooled and normalised over the whole batch.

    Source: Schulman et al., "Proximal Policy Optimization Algorithms", 2017.
    """
    folded = part.policy.fold(parameters)
    old = map_over_views(lambda recorded: part.policy.evaluate(folded, recorded)[0], chunk, part, as_played=True)

    def one_step(carry: tuple[Parameters, OptimizerState], envs: Int[Array, " some"]):
        parameters, optimizer = carry
        gradient, entropy, clipped = _clipped_gradient(
            problem,
            part,
            parameters,
            take_envs(chunk._replace(last=None, first_layers=None), envs),
            jnp.take(advantage, envs, axis=2),
            jnp.take(old, envs, axis=2),
        )
        carry = problem.base_optimizer.ascend(gradient, optimizer, parameters, problem.numbers.base_rate)
        return carry, (global_norm(gradient), entropy, clipped)

    (parameters, optimizer), measured = jax.lax.scan(one_step, (parameters, optimizer), minibatches(problem, key))
    return BaseUpdate(parameters, optimizer, *(values.mean() for values in measured))


def _clipped_gradient(
    problem: Problem,
    part: Part,
    parameters: Parameters,
    chunk: Chunk,
    advantage: Float[Array, "time terms envs"],
    old: Float[Array, "time terms envs"],
) -> tuple[Parameters, Array, Array]:
    numbers = problem.numbers

    def of_block(recorded: tuple[View, ...], advantage_of_block: Array, old_of_block: Array):
        def objective(parameters: Parameters) -> tuple[Array, tuple[Array, Array]]:
            log_prob, entropies = part.policy.evaluate(parameters, recorded)
            ratio = jnp.exp(log_prob - old_of_block)
            near = jnp.clip(ratio, 1 - numbers.ppo_clip, 1 + numbers.ppo_clip)
            surrogate = jnp.minimum(ratio * advantage_of_block, near * advantage_of_block)
            entropy = entropies.sum() / advantage.size
            clipped = jnp.sum(jnp.abs(ratio - 1) > numbers.ppo_clip) / advantage.size
            return surrogate.sum() / advantage.size + numbers.entropy * entropy, (entropy, clipped)

        gradient, (entropy, clipped) = jax.grad(objective, has_aux=True)(folded)
        return gradient, entropy, clipped

    folded, unfold = jax.vjp(part.policy.fold, parameters)
    gradient, entropy, clipped = sum_over_views(of_block, chunk, part, advantage, old)
    return unfold(gradient)[0], entropy, clipped
