"""Actors as JaxMARL's baselines train them, beside flax's own evaluation of the whole network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_game
from flax import linen as nn
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

import rpax
from rpax.errors import InputError
from rpax.policies.sources import find_agent


class ActorThenCritic(nn.Module):
    """The order in which JaxMARL's feed-forward baselines make their layers; widths of our own."""

    actions: int
    activation: str = "tanh"
    embeds: bool = False

    @nn.compact
    def __call__(self, x):
        activate = getattr(nn, self.activation)
        if self.embeds:
            x = activate(nn.Dense(7)(x))
        hidden = activate(nn.Dense(6)(x))
        hidden = hidden if self.embeds else activate(nn.Dense(4)(hidden))
        logits = nn.Dense(self.actions)(hidden)
        value = nn.Dense(1)(activate(nn.Dense(5)(x)))
        return logits, value[..., 0]


def trained(network, game="small/ring"):
    """Parameters, observations of the game, and the probabilities that flax computes for them."""
    space = rpax.make(game).spaces[0]
    seen = jax.random.randint(jax.random.key(1), (5, *space.observation_shape), 0, 2).astype(jnp.uint8)
    flat = seen.reshape(5, -1).astype(jnp.float32)
    parameters = network.init(jax.random.key(0), flat)
    return parameters, seen, nn.softmax(network.apply(parameters, flat)[0])


@pytest.mark.parametrize("game", ["small/ring", "small/picture"])
@pytest.mark.parametrize("embeds", [False, True], ids=["two networks", "one first layer for both"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_actor_plays_as_in_flax(game, embeds, activation, tmp_path):
    parameters, seen, expected = trained(ActorThenCritic(3, activation, embeds), game)
    environment = rpax.make(game)
    path = tmp_path / "IPPO.safetensors"
    # What JaxMARL's save_params does.
    save_file({key: np.asarray(leaf) for key, leaf in flatten_dict(parameters, sep=",").items()}, path)
    text = f"jaxmarl:{'relu:' if activation == 'relu' else ''}{path}"
    for agent in (
        find_agent(text, environment),
        rpax.flax_policy(parameters, environment, activation),
        rpax.flax_policy(parameters["params"], environment, activation),
    ):
        assert agent.seats == (0, 1)
        np.testing.assert_allclose(agent.probabilities(seen), expected, rtol=1e-5)
    with pytest.raises(InputError, match=r"not a policy written by rpax; .*give JaxMARL's parameters as jaxmarl:"):
        find_agent(str(path), environment)


def test_an_observation_as_long_as_there_are_actions_does_not_join_actor_and_critic():
    rpax.register("small/square", lambda name: Square(), "as many actions as numbers are seen")
    parameters, seen, expected = trained(ActorThenCritic(3), "small/square")
    agent = rpax.flax_policy(parameters, rpax.make("small/square"))
    np.testing.assert_allclose(agent.probabilities(seen), expected, rtol=1e-5)


class Square(small_game.Ring):
    def __init__(self):
        super().__init__("small/square")
        self.spaces = (rpax.SeatSpace((3,), 3, jnp.uint8),) * 2
        self.encodings = None

    def observe(self, state):
        seen = jnp.zeros(3, jnp.uint8)
        return seen, seen


LAYER = {"kernel": np.zeros((11, 3)), "bias": np.zeros(3)}


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({}, "parameters hold nothing, not layers Dense_0, Dense_1"),
        ({"params": {"ScannedRNN_0": {}, "Dense_0": LAYER}}, "hold ScannedRNN_0, Dense_0, not layers Dense_0"),
        ({"Dense_1": LAYER}, "hold Dense_1, not layers Dense_0"),
        ({"Dense_0": {"kernel": np.zeros((11, 3))}}, "Dense_0 has no kernel and bias"),
        ({"Dense_0": {"kernel": np.zeros((2, 11, 3)), "bias": np.zeros((2, 3))}}, "trained side by side, take one"),
        ({"Dense_0": {"kernel": np.zeros((11, 4)), "bias": np.zeros(4)}}, "lead 11 -> 4, from .* to 4 actions; 'small"),
    ],
)
def test_what_is_no_actor_of_the_environment_is_refused(tree, says):
    with pytest.raises(InputError, match=says):
        rpax.flax_policy(tree, rpax.make("small/ring"))


def test_a_damaged_file_and_an_unknown_activation_are_named(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not this")
    with pytest.raises(InputError, match=r"no safetensors file, it has .*; save them with save_params"):
        find_agent(f"jaxmarl:tanh:{tmp_path}/x.safetensors", rpax.make("small/ring"))
    with pytest.raises(InputError, match="activation 'rellu' is unknown; did you mean 'relu'"):
        rpax.flax_policy({"Dense_0": LAYER}, rpax.make("small/ring"), "rellu")
