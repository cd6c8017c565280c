"""A game in progress: agents and people at a table, one step at a time.

Keys are those of :class:`rpax.evaluation.episodes.Player`, so that an episode can be simulated again from its key and
its actions, and two agents play here what they play there. Agents decide as soon as a state is there, before a person
does.
"""

import dataclasses
import secrets
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rpax.environments.protocol import Environment, Key, State
from rpax.errors import InputError
from rpax.evaluation.episodes import Episode
from rpax.policies import categorical
from rpax.policies.agent import as_arrays
from rpax.policies.external import asking
from rpax.recordings.recording import Recording, Seated, make_recording
from rpax.recordings.scenes.scene import Move, Scene, scene_of
from rpax.runs.agent import Agent

#: Longer episodes end here, as recordings do.
MOST_STEPS = 10_000


@dataclasses.dataclass(frozen=True)
class Sitter:
    """Who sits in a seat.

    Attributes:
        name: an agent's, or the label of a person.
        agent: who decides; for a person who only advises, or ``None``.
        is_person: whether a person decides.
    """

    name: str
    agent: Agent | None
    is_person: bool = False

    @property
    def seated(self) -> Seated:
        """The same, as recordings have it."""
        return Seated(self.name, "person" if self.is_person else "agent")


class Thought(NamedTuple):
    """What both seats make of a state.

    Attributes:
        actions: those that the agents take; anything for a seat without one.
        chances: with what probabilities; ``None`` for a seat without an agent.
        memories: what agents carry to the next state.
        legal: what each seat may do; ``None`` where that is everything.
    """

    actions: Int[Array, "2"]
    chances: tuple[Float[Array, " actions_0"] | None, Float[Array, " actions_1"] | None]
    memories: tuple[Any, Any]
    legal: tuple[Bool[Array, " actions_0"], Bool[Array, " actions_1"]] | None


class Programs:
    """The compiled steps of one environment; agents with the same networks share them. Several threads may use them.

    Args:
        environment: the game.
        greedy: agents take their likeliest action instead of drawing one.
    """

    def __init__(self, environment: Environment, *, greedy: bool = False) -> None:
        self.environment, self.greedy = environment, greedy
        self.horizon = min(environment.horizon, MOST_STEPS)
        self._compiled: list[tuple[list[Any], tuple[Any, Any]]] = []
        self._lock = threading.Lock()

    def of(self, agents: tuple[Agent | None, Agent | None]) -> tuple[Any, Any]:
        """How games of these agents begin, and how they go on; both also take their parameters."""
        wanted = [None if head is None else head[0].networks[head[1]] for head in map(_head, agents, (0, 1))]
        with self._lock:
            known = next((compiled for networks, compiled in self._compiled if networks == wanted), None)
            if known is None:
                known = (jax.jit(self._make_begin(agents)), jax.jit(self._make_advance(agents)))
                self._compiled.append((wanted, known))
        return known

    def warm_up(self, sitters: tuple[Sitter, Sitter]) -> None:
        """Compile what a game of theirs needs, by playing a step of one.

        Raises:
            InputError: an agent that is a function of a user's own does not answer.
        """
        game = Game(self, sitters, jax.random.key(0))
        game.step({seat: int(np.argmax(game.legal(seat))) for seat in game.people})

    def _make_begin(self, agents: tuple[Agent | None, Agent | None]) -> Any:
        environment, horizon = self.environment, self.environment.horizon
        think = self._make_think(agents)

        def begin(parameters: Any, key: Key) -> Any:
            key_start, key_steps = jax.random.split(key)
            state = environment.reset(key_start)
            keys = jax.random.split(key_steps, horizon)
            memories = tuple(
                jnp.zeros(agent.policy.memory_units) if agent is not None and agent.policy.memory_units else None
                for agent in agents
            )
            return state, jax.random.key_data(keys), think(parameters, keys[0], state, jnp.ones((), bool), memories)

        return begin

    def _make_advance(self, agents: tuple[Agent | None, Agent | None]) -> Any:
        environment, think = self.environment, self._make_think(agents)

        def advance(parameters: Any, keys: Any, state: State, memories: Any, actions: Any) -> Any:
            key, following = (jax.random.wrap_key_data(words) for words in keys)
            after = environment.step(jax.random.split(key, 3)[2], state, actions)
            return after, think(parameters, following, after.state, jnp.zeros((), bool), memories)

        return advance

    def _make_think(self, agents: tuple[Agent | None, Agent | None]) -> Any:
        environment, choose = self.environment, self._choose

        def think(parameters: Any, key: Key, state: State, first: Any, memories: Any) -> Thought:
            *keys_act, _ = jax.random.split(key, 3)
            legal = environment.legal_actions(state)
            actions, chances, remembered = [], [], []
            for seat, seen in enumerate(environment.observe(state)):
                head, allowed = _head(agents[seat], seat), None if legal is None else legal[seat]
                if head is None:
                    actions.append(jnp.zeros((), jnp.int32))
                    chances.append(None)
                    remembered.append(None)
                    continue
                stored = seen.astype(environment.spaces[seat].observation_dtype)
                policy, name = head
                known = ({name: parameters[seat]}, name, stored, first, memories[seat])
                logits, memory = policy.act(*known, legal=allowed)
                actions.append(choose(keys_act[seat], logits, allowed))
                chances.append(categorical.probabilities(logits, allowed))
                remembered.append(memory)
            return Thought(jnp.stack(actions), tuple(chances), tuple(remembered), legal)

        return think

    def _choose(self, key: Key, logits: Array, legal: Array | None) -> Array:
        if self.greedy:
            return jnp.argmax(categorical.log_probabilities(logits, legal), axis=-1).astype(jnp.int32)
        return categorical.sample(key, logits, legal)


def _head(agent: Agent | None, seat: int) -> Any:
    """The policy of an agent and the name of its head for a seat."""
    return None if agent is None else (agent.policy, agent.policy.head_of_seat[seat])


def fresh_key() -> Key:
    """A key that nobody can guess."""
    words = np.frombuffer(secrets.token_bytes(8), np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(words))


class Game:
    """One episode, which goes on when everybody who is a person has decided.

    Args:
        programs: of its environment.
        sitters: who sits in seat 0 and in seat 1.
        key: of the episode, as :meth:`rpax.evaluation.episodes.Player.play` takes it.

    Raises:
        InputError: an agent that is a function of a user's own does not answer.
    """

    def __init__(self, programs: Programs, sitters: tuple[Sitter, Sitter], key: Key) -> None:
        self.programs, self.sitters, self._key = programs, sitters, key
        self.people = tuple(seat for seat, sitter in enumerate(sitters) if sitter.is_person)
        agents = (sitters[0].agent, sitters[1].agent)
        heads = [_head(agent, seat) for seat, agent in enumerate(agents)]
        self._parameters = tuple(
            None if agent is None else as_arrays(agent.parameters[head[1]])
            for agent, head in zip(agents, heads, strict=True)
        )
        begin, self._advance = programs.of(agents)
        with asking():
            self._state, keys, self._thought = jax.block_until_ready(begin(self._parameters, key))
        self._keys = np.asarray(keys)
        self._states: list[State] = [_on_host(self._state)]
        self._actions: list[np.ndarray] = []
        self._rewards: list[np.ndarray] = []
        self._chances: list[tuple[Any, Any]] = []
        self.done = False
        self.scene: Scene = scene_of(self.environment)

    @property
    def environment(self) -> Environment:
        """The game that is played."""
        return self.programs.environment

    @property
    def length(self) -> int:
        """How many steps were made."""
        return len(self._actions)

    @property
    def over(self) -> bool:
        """Whether no further step can be made."""
        return self.done or self.length >= self.programs.horizon

    @property
    def actions(self) -> tuple[int, int] | None:
        """What both seats did last."""
        return None if not self._actions else (int(self._actions[-1][0]), int(self._actions[-1][1]))

    @property
    def rewards(self) -> tuple[float, float]:
        """What the last step paid."""
        return (0.0, 0.0) if not self._rewards else (float(self._rewards[-1][0]), float(self._rewards[-1][1]))

    @property
    def episode(self) -> Episode:
        """What was played so far."""
        actions = np.array(self._actions, np.int32).reshape(-1, 2)
        return Episode(tuple(self._states), actions, np.array(self._rewards, np.float64).reshape(-1, 2))

    @property
    def returns(self) -> tuple[float, float]:
        """What each seat got so far."""
        return self.episode.returns

    def legal(self, seat: int) -> Bool[np.ndarray, " actions"]:
        """What a seat may do now."""
        legal = self._thought.legal
        return np.ones(self.environment.spaces[seat].num_actions, bool) if legal is None else np.asarray(legal[seat])

    def chances(self, seat: int) -> Float[np.ndarray, " actions"] | None:
        """With what probabilities the seat's agent, or a person's adviser, acts now."""
        chances = self._thought.chances[seat]
        return None if chances is None else np.asarray(chances)

    def step(self, decided: Mapping[int, int]) -> None:
        """One step; agents do what they decided when they saw the state.

        Args:
            decided: the action of each person, by seat.

        Raises:
            InputError: the game is over, somebody's decision is missing, or not legal.
        """
        if self.over:
            raise InputError("the game is over; begin another")
        actions = np.array(self._thought.actions)
        for seat in self.people:
            actions[seat] = self._checked(seat, decided.get(seat))
        t, last = self.length, len(self._keys) - 1
        chances = (self.chances(0), self.chances(1))
        with asking():
            after, self._thought = jax.block_until_ready(
                self._advance(
                    self._parameters,
                    self._keys[[t, min(t + 1, last)]],
                    self._state,
                    self._thought.memories,
                    actions,
                )
            )
        self._state = after.state
        self._states.append(_on_host(after.state))
        self._actions.append(actions)
        self._rewards.append(np.asarray(after.rewards, np.float64))
        self._chances.append(chances)
        self.done = bool(after.done)

    def _checked(self, seat: int, action: int | None) -> int:
        space = self.environment.spaces[seat]
        if action is None or not 0 <= action < space.num_actions:
            raise InputError(f"action {action} is none of seat {seat}; give a number from 0 to {space.num_actions - 1}")
        if not self.legal(seat)[action]:
            raise InputError(f"action '{space.name_of(action)}' is not legal now; choose another")
        return action

    def values(self, scene: Scene | None = None) -> list[int]:
        """The numbers by which the state is drawn, by the game's own scene or another one of its environment."""
        move = None if not self._actions else Move(self._states[-2], self._actions[-1], self.done)
        return (scene or self.scene).values(self._states[-1], move).tolist()

    def recording(self) -> Recording:
        """The episode so far as a document."""
        chances = tuple(
            None if sitter.is_person or sitter.agent is None else np.array([each[seat] for each in self._chances])
            for seat, sitter in enumerate(self.sitters)
        )
        return make_recording(
            self.environment,
            self.episode,
            (self.sitters[0].seated, self.sitters[1].seated),
            self._key,
            greedy=self.programs.greedy,
            probabilities=(chances[0], chances[1]),
            ended=self.done,
        )


def _on_host(state: State) -> State:
    return jax.tree.map(np.asarray, state)
