"""Objective edges: who learns, whose return counts, who the partner is, from which seat, with what weight.

An algorithm is nothing but a list of such edges (see ``rpax.objectives.catalogue`` for the paper's). With
``U_b(b, p)`` the return of the beneficiary b when it plays with the partner p, the edge

    learner: U_beneficiary(beneficiary, partner) : weight

says that the learner changes its parameters to increase ``weight`` times that return. A base agent's edge uses the
learner's own actions; a manipulator's edge names the base agent that it *shapes* and differentiates through that
agent's lookahead.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

from rpax.errors import InputError, shown, suggestion

Role = Literal["base", "manipulator", "fixed"]
ROLES: tuple[Role, ...] = get_args(Role)
BOTH_SEATS = (0, 1)
#: Why mixed-play is refused to agents that remember.
MEMORY_AND_MIXED_PLAY = (
    "mixed-play needs agents without memory, which would have to remember what another agent did as their own; use "
    "network mlp or cnn, or leave mixed-play out"
)
_OPTIONAL = ("shapes", "mixed_with")
_NAMES = ("learner", "beneficiary", "partner", *_OPTIONAL)
_MOST_SHOWN = 60
#: Names become names of files.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


@dataclasses.dataclass(frozen=True)
class ObjectiveEdge:
    """One weighted term of an objective.

    Attributes:
        learner: the agent whose parameters learn (a base agent or a manipulator).
        beneficiary: the agent whose return is counted.
        partner: the agent that plays against the beneficiary (the same name twice is self-play).
        weight: multiplies the return; negative makes the learner minimise it. Finite and not 0.
        seats: the beneficiary's seats; ``(0, 1)`` means the edge is there once for each order.
        shapes: for a manipulator's edge, the base agent through whose lookahead it differentiates.
        mixed_with: makes self-play *mixed-play*: each episode's beginning, until a uniformly random step, is played by
            the learner and this agent, mixed anew in every step, and only the return from there on counts.
    """

    learner: str
    beneficiary: str
    partner: str
    weight: float = 1.0
    seats: tuple[int, ...] = BOTH_SEATS
    shapes: str | None = None
    mixed_with: str | None = None

    def __post_init__(self) -> None:
        for part in _NAMES:
            if not isinstance(getattr(self, part), str) and not (part in _OPTIONAL and getattr(self, part) is None):
                raise InputError(
                    f"edge {self}: {part} {shown(getattr(self, part))} is not a name; give an agent's name"
                )
        try:
            if isinstance(self.weight, bool):
                raise TypeError
            object.__setattr__(self, "weight", float(self.weight))
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"edge {self}: weight {shown(self.weight)} is not a number; give one like 1.0 or -0.25"
            ) from None
        seats = (self.seats,) if isinstance(self.seats, int) else self.seats
        if not isinstance(seats, Sequence) or isinstance(seats, str):
            raise InputError(f"edge {self}: seats {shown(self.seats)} must be a list of seats; use [0], [1] or [0, 1]")
        object.__setattr__(self, "seats", tuple(seats))
        if self.seats not in ((0,), (1,), (0, 1), (1, 0)) or any(type(seat) is not int for seat in self.seats):
            raise InputError(
                f"edge {self}: seats {shown(list(self.seats))} must be distinct and 0 or 1; use [0], [1] or [0, 1]"
            )
        if not math.isfinite(self.weight) or self.weight == 0:
            raise InputError(
                f"edge {self}: weight {self.weight} must be finite and not 0; leave out edges without weight"
            )

    def __str__(self) -> str:
        learner, beneficiary, partner = map(_name, (self.learner, self.beneficiary, self.partner))
        shaping = f" (shapes {_name(self.shapes)})" if self.shapes else ""
        shaping += f" (mixed with {_name(self.mixed_with)})" if self.mixed_with else ""
        weight = f"{self.weight:+g}" if isinstance(self.weight, float) else shown(self.weight)
        text = f"'{learner}: U_{beneficiary}({beneficiary}, {partner}) : {weight}'{shaping}"
        return " ".join(text.split())

    @property
    def actor(self) -> str:
        """The agent whose actions carry the gradient: the shaped base of a manipulator's edge, else the learner."""
        return self.shapes if self.shapes is not None else self.learner

    def actor_seat(self, beneficiary_seat: int) -> int:
        """The seat of the actor when the beneficiary sits in ``beneficiary_seat``."""
        return beneficiary_seat if self.actor == self.beneficiary else 1 - beneficiary_seat


def _name(value: object) -> str:
    """An agent's name as it is; of anything else, as much as a message shows."""
    return value if isinstance(value, str) and len(value) <= _MOST_SHOWN and value.isprintable() else shown(value)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a catalogue objective was asked for.

    Attributes:
        name: of the algorithm.
        options: those that were given explicitly; training fills in the others from its preset.
    """

    name: str
    options: Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Objective:
    """An algorithm as data: its agents with their roles, and its edges. Checked when built.

    Attributes:
        agents: name to role, in a fixed order: ``"base"`` learns and is kept, ``"manipulator"`` shapes one base agent
            and is thrown away, ``"fixed"`` never learns (a victim under attack, a given partner).
        edges: the terms; their order fixes the order of pairings but not what is learned.
        name: how the algorithm is called in run directories and reports.
        recipe: for an objective from the catalogue, how it was asked for.

    Raises:
        InputError: the message names the edge, the rule it breaks and the remedy.
    """

    agents: Mapping[str, Role]
    edges: Sequence[ObjectiveEdge]
    name: str = "custom"
    recipe: Recipe | None = dataclasses.field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.agents, Mapping):
            raise InputError(f"agents {shown(self.agents)} must map names to roles, like {{'victim': 'base'}}")
        object.__setattr__(self, "agents", dict(self.agents))
        if not isinstance(self.edges, Sequence):
            raise InputError(f"edges {shown(self.edges)} must be a list of ObjectiveEdge")
        object.__setattr__(self, "edges", tuple(self.edges))
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            raise InputError(f"objective name {shown(self.name)} must be one line of text; choose another")
        self._check_agents()
        for edge in self.edges:
            self._check_edge(edge)
        self._check_duplicates()
        self._check_everyone_has_a_purpose()

    def with_role(self, role: Role) -> tuple[str, ...]:
        """The names of the agents that have ``role``, in order."""
        return tuple(name for name, its_role in self.agents.items() if its_role == role)

    @property
    def bases(self) -> tuple[str, ...]:
        """The base agents, in order."""
        return self.with_role("base")

    @property
    def manipulators(self) -> tuple[str, ...]:
        """The manipulators, in order."""
        return self.with_role("manipulator")

    @property
    def fixed(self) -> tuple[str, ...]:
        """The agents that never learn, in order."""
        return self.with_role("fixed")

    def edges_of(self, learner: str) -> tuple[ObjectiveEdge, ...]:
        """The edges that ``learner`` learns from, in order."""
        return tuple(edge for edge in self.edges if edge.learner == learner)

    def shaped_by(self, manipulator: str) -> str:
        """The base agent that ``manipulator`` shapes."""
        shaped = self.edges_of(manipulator)[0].shapes
        assert shaped is not None, "checked when the objective was built"
        return shaped

    @property
    def preserves_rationality(self) -> bool:
        """Whether every base agent only ever maximises its own return, as RPO's constraint asks."""
        return all(
            edge.learner == edge.beneficiary and edge.weight > 0 for base in self.bases for edge in self.edges_of(base)
        )

    def _check_agents(self) -> None:
        for name, role in self.agents.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise InputError(
                    f"agent {shown(name)}: a name starts with a letter and holds letters, digits, '_' and '-' only, at "
                    "most 100 of them"
                )
            if role not in ROLES:
                raise InputError(f"agent '{name}': role {shown(role)} is unknown; use one of {', '.join(ROLES)}")
        if not self.bases:
            raise InputError("the objective has no agent with role 'base', so nothing would be learned; add one")
        for edge in self.edges:
            if not isinstance(edge, ObjectiveEdge):
                raise InputError(
                    f"edge {shown(edge)} is not an ObjectiveEdge; write ObjectiveEdge(learner=…, beneficiary=…, …)"
                )

    def _check_edge(self, edge: ObjectiveEdge) -> None:
        for fine, complaint in self._rules(edge):
            if not fine:
                raise InputError(f"edge {edge}: {complaint}")

    def _rules(self, edge: ObjectiveEdge) -> Iterator[tuple[bool, str]]:
        """Every rule with its complaint; later ones may rely on earlier ones."""
        for part in _NAMES:
            name = getattr(edge, part)
            known = name in self.agents or (part in _OPTIONAL and name is None)
            yield known, f"{part} {shown(name)} is not an agent; {suggestion(str(name), self.agents)}"
        role = self.agents[edge.learner]
        yield role != "fixed", f"'{edge.learner}' is fixed and cannot learn; give it the role 'base'"
        yield from self._base_rules(edge) if role == "base" else self._manipulator_rules(edge)

    def _base_rules(self, edge: ObjectiveEdge) -> Iterator[tuple[bool, str]]:
        players = (edge.beneficiary, edge.partner)
        yield edge.shapes is None, f"only a manipulator shapes; drop shapes='{edge.shapes}' from this base agent's edge"
        yield (
            edge.learner in players,
            "the learner must be one of the two players; make it the beneficiary or the partner",
        )
        serves = self.agents[edge.beneficiary] != "manipulator"
        yield serves, f"a manipulator's return is nobody's goal; make '{edge.learner}' the beneficiary"
        if edge.mixed_with is not None:
            itself = set(players) == {edge.learner} and edge.mixed_with != edge.learner
            yield itself, "mixed-play is self-play after a mixture with another agent; make the learner both players"
            given = self.agents[edge.mixed_with] != "manipulator"
            yield given, f"'{edge.mixed_with}' is a manipulator; mix with a base agent or a fixed one"

    def _manipulator_rules(self, edge: ObjectiveEdge) -> Iterator[tuple[bool, str]]:
        players = (edge.beneficiary, edge.partner)
        yield edge.shapes is not None, "a manipulator acts through a base agent; add shapes=… naming it"
        yield edge.mixed_with is None, "only a base agent learns from mixed-play; drop mixed_with"
        role = self.agents[str(edge.shapes)]
        yield role == "base", f"shapes '{edge.shapes}' is {role}; only a base agent can be shaped"
        shaped_plays = edge.shapes in players
        yield shaped_plays, "the shaped base must be one of the two players; make it the beneficiary or the partner"
        bases_only = all(self.agents[player] != "manipulator" for player in players)
        yield bases_only, "a manipulator's objective is played by base agents; replace the manipulator in it"

    def _check_duplicates(self) -> None:
        seen: dict[tuple, ObjectiveEdge] = {}
        for edge in self.edges:
            for seat in edge.seats:
                key = (edge.learner, edge.beneficiary, edge.partner, edge.shapes, edge.mixed_with, seat)
                if key in seen:
                    raise InputError(
                        f"edge {edge}: it is there twice for seat {seat}; add the two weights into one edge"
                    )
                seen[key] = edge

    def _check_everyone_has_a_purpose(self) -> None:
        for base in self.bases:
            if not self.edges_of(base):
                raise InputError(
                    f"base agent '{base}' has no edge to learn from; add one with learner='{base}' or make it fixed"
                )
        for manipulator in self.manipulators:
            edges = self.edges_of(manipulator)
            shaped = sorted({str(edge.shapes) for edge in edges})
            if len(shaped) != 1:
                found = ", ".join(shaped) if shaped else "none"
                raise InputError(
                    f"manipulator '{manipulator}' must shape exactly one base agent, not {found}; use one each"
                )
            if not any(edge.partner == manipulator for edge in self.edges_of(shaped[0])):
                raise InputError(
                    f"manipulator '{manipulator}' never plays with '{shaped[0]}', so it cannot influence it; "
                    f"add ObjectiveEdge(learner='{shaped[0]}', beneficiary='{shaped[0]}', partner='{manipulator}')"
                )
        for base in self.bases:
            for edge in self.edges_of(base):
                if self.agents[edge.partner] == "manipulator" and self.shaped_by(edge.partner) != base:
                    raise InputError(
                        f"edge {edge}: '{edge.partner}' shapes another agent; pair '{base}' with its own one"
                    )
        playing = {name for edge in self.edges for name in (edge.beneficiary, edge.partner, edge.mixed_with)}
        for fixed in self.fixed:
            if fixed not in playing:
                raise InputError(f"fixed agent '{fixed}' plays in no edge; remove it")
