"""The catalogue of algorithms: each is a short list of edges (the paper's Figure 9; names as in the glossary).

``sides="both"`` plays every edge from both seats; ``sides="single"`` gives each role a fixed seat (victim, protagonist
and antagonist: seat 0, adversary: seat 1). The agents of ``sp``, ``ad`` and ``ad-rpg`` always play both seats.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Literal

from rpax.errors import InputError, shown, suggestion
from rpax.objectives.edges import BOTH_SEATS, Objective, ObjectiveEdge, Recipe, Role

Sides = Literal["single", "both"]
Antagonist = Literal["separate", "adversary"]


@dataclasses.dataclass(frozen=True)
class AlgorithmOptions:
    """What can be varied in the catalogue's algorithms; each algorithm takes those that concern it.

    Attributes:
        partner_play: ε, the weight of each evaluation partner in a base agent's own objective.
        crossplay_weight: λ, how strongly agents of AD are pushed apart in cross-play.
        population: N, the number of base agents of AD and of CoMeDi, and of the partners' self-play seeds in FCP.
        sides: play every edge from both seats, or give each role its own seat.
        victim_self_play: weight of the victim's (protagonist's) self-play in its own objective, in AT and PAIRED.
        antagonist: in PAIRED, a separate agent, or the adversary itself.
        mixed_play_weight: how much mixed-play counts in CoMeDi.
        entropies: the coefficients of the entropy bonus in a sweep of self-play.
    """

    partner_play: float = 0.1
    crossplay_weight: float = 0.25
    population: int = 2
    sides: Sides = "both"
    victim_self_play: float = 0.0
    antagonist: Antagonist = "separate"
    mixed_play_weight: float = 0.5
    entropies: tuple[float, ...] = (0.01, 0.05, 0.1)

    def __post_init__(self) -> None:
        _check_number("partner_play", self.partner_play, 0, 1, "a weight ε with 0 <= ε < 1")
        _check_number("crossplay_weight", self.crossplay_weight, 0, math.inf, "a weight λ >= 0, 0.25 in the paper")
        _check_number("victim_self_play", self.victim_self_play, 0, 1, "a weight with 0 <= weight < 1")
        _check_number("mixed_play_weight", self.mixed_play_weight, 0, math.inf, "a weight β >= 0")
        self._check_entropies()
        if isinstance(self.population, bool) or not isinstance(self.population, int) or self.population < 2:
            raise InputError(f"population {shown(self.population)} must be a whole number of at least 2 base agents")
        for name, allowed in (("sides", ("single", "both")), ("antagonist", ("separate", "adversary"))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} {shown(getattr(self, name))} is unknown; use {' or '.join(allowed)}")

    def _check_entropies(self) -> None:
        if not isinstance(self.entropies, list | tuple) or not self.entropies:
            raise InputError(f"entropies {shown(self.entropies)} is no list; give coefficients like 0.01 0.05 0.1")
        object.__setattr__(self, "entropies", tuple(self.entropies))
        for entropy in self.entropies:
            _check_number("entropies", entropy, 0, math.inf, "coefficients of at least 0")
        if len({f"{entropy:g}" for entropy in self.entropies}) < len(self.entropies):
            raise InputError(f"entropies {shown(list(self.entropies))} has one twice; give different coefficients")


def _check_number(name: str, value: object, low: float, high: float, rule: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < high:
        raise InputError(f"{name} {shown(value)} is out of range; give {rule}")


AgentsAndEdges = tuple[dict[str, Role], list[ObjectiveEdge]]


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """A catalogue entry: what it does in a line, the options it takes, and how its objective is built.

    ``settings`` are those of a run that make it what it is, where no others are asked for. What is ``in_stages`` is
    trained as :mod:`rpax.schemes` says; its objective then says what comes out.
    """

    name: str
    summary: str
    options: tuple[str, ...]
    build: Callable[[AlgorithmOptions], AgentsAndEdges]
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    in_stages: bool = False


def _remaining(options: AlgorithmOptions, partners: int) -> float:
    """The weight 1 − (partners)·ε that is left for the manipulator, which must stay positive."""
    left = 1 - partners * options.partner_play
    if left <= 1e-9:
        raise InputError(
            f"partner_play {options.partner_play} leaves no weight for the manipulator beside {partners} partners; "
            f"use less than 1/{partners} = {1 / partners:g}"
        )
    return left


def _drop_empty(edges: list[tuple]) -> list[ObjectiveEdge]:
    """Edges from (learner, beneficiary, partner, weight, seats[, shapes]), without those of weight 0."""
    return [ObjectiveEdge(*edge) for edge in edges if edge[3] != 0]


def _fixed_seats(options: AlgorithmOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The seats of the victim's side and of the adversary's side."""
    return (BOTH_SEATS, BOTH_SEATS) if options.sides == "both" else ((0,), (1,))


def _self_play(options: AlgorithmOptions) -> AgentsAndEdges:
    return {"base_0": "base"}, _drop_empty([("base_0", "base_0", "base_0", 1.0, BOTH_SEATS)])


def _best_response(options: AlgorithmOptions) -> AgentsAndEdges:
    seats, _ = _fixed_seats(options)
    return {"base_0": "base", "partner": "fixed"}, _drop_empty([("base_0", "base_0", "partner", 1.0, seats)])


def _adversarial_policy(options: AlgorithmOptions) -> AgentsAndEdges:
    front, _ = _fixed_seats(options)
    return {"victim": "fixed", "adversary": "base"}, _drop_empty([("adversary", "victim", "adversary", -1.0, front)])


def _rational_adversary(options: AlgorithmOptions, partners: list[str]) -> list[tuple]:
    """The adversary's own edges: its return with the manipulator, and ε of it with each evaluation partner."""
    _, back = _fixed_seats(options)
    left = _remaining(options, len(partners))
    partner_play = [("adversary", "adversary", partner, options.partner_play, back) for partner in partners]
    return [*partner_play, ("adversary", "adversary", "manipulator", left, back)]


def _rational_adversarial_policy(options: AlgorithmOptions) -> AgentsAndEdges:
    front, _ = _fixed_seats(options)
    edges = [
        *_rational_adversary(options, ["victim"]),
        ("manipulator", "victim", "adversary", -1.0, front, "adversary"),
    ]
    return {"victim": "fixed", "adversary": "base", "manipulator": "manipulator"}, _drop_empty(edges)


def _learning_victim(name: str, options: AlgorithmOptions) -> list[tuple]:
    """A victim (or protagonist) that learns against the adversary, with some self-play where asked."""
    front, _ = _fixed_seats(options)
    return [
        (name, name, "adversary", 1.0 - options.victim_self_play, front),
        (name, name, name, options.victim_self_play, BOTH_SEATS),
    ]


def _adversarial_training(options: AlgorithmOptions) -> AgentsAndEdges:
    front, _ = _fixed_seats(options)
    edges = [*_learning_victim("victim", options), ("adversary", "victim", "adversary", -1.0, front)]
    return {"victim": "base", "adversary": "base"}, _drop_empty(edges)


def _rational_adversarial_training(options: AlgorithmOptions) -> AgentsAndEdges:
    front, _ = _fixed_seats(options)
    edges = [
        *_learning_victim("victim", options),
        *_rational_adversary(options, ["victim"]),
        ("manipulator", "victim", "adversary", -1.0, front, "adversary"),
    ]
    return {"victim": "base", "adversary": "base", "manipulator": "manipulator"}, _drop_empty(edges)


def _antagonist(options: AlgorithmOptions) -> tuple[str, dict[str, Role], list[tuple]]:
    """The antagonist's name, its entry among the agents and its own edges (none where it is the adversary)."""
    front, _ = _fixed_seats(options)
    if options.antagonist == "adversary":
        return "adversary", {}, []
    return "antagonist", {"antagonist": "base"}, [("antagonist", "antagonist", "adversary", 1.0, front)]


def _regret(learner: str, victim: str, antagonist: str, options: AlgorithmOptions, *shapes: str) -> list[tuple]:
    """PAIRED's regret: the antagonist's return minus the protagonist's (or victim's), both against the adversary."""
    front, _ = _fixed_seats(options)
    return [
        (learner, antagonist, "adversary", 1.0, front, *shapes),
        (learner, victim, "adversary", -1.0, front, *shapes),
    ]


def _paired(options: AlgorithmOptions) -> AgentsAndEdges:
    antagonist, agents, edges = _antagonist(options)
    edges = [
        *_learning_victim("protagonist", options),
        *edges,
        *_regret("adversary", "protagonist", antagonist, options),
    ]
    return {"protagonist": "base", **agents, "adversary": "base"}, _drop_empty(edges)


def _rational_paired(options: AlgorithmOptions) -> AgentsAndEdges:
    antagonist, agents, edges = _antagonist(options)
    edges = [
        *_learning_victim("protagonist", options),
        *edges,
        *_rational_adversary(options, ["protagonist", antagonist]),
        *_regret("manipulator", "protagonist", antagonist, options, "adversary"),
    ]
    return {"protagonist": "base", **agents, "adversary": "base", "manipulator": "manipulator"}, _drop_empty(edges)


def _rational_paired_attack(options: AlgorithmOptions) -> AgentsAndEdges:
    front, _ = _fixed_seats(options)
    edges = [
        ("antagonist", "antagonist", "adversary", 1.0, front),
        *_rational_adversary(options, ["victim", "antagonist"]),
        *_regret("manipulator", "victim", "antagonist", options, "adversary"),
    ]
    agents: dict[str, Role] = {
        "victim": "fixed",
        "antagonist": "base",
        "adversary": "base",
        "manipulator": "manipulator",
    }
    return agents, _drop_empty(edges)


def _diversity_edges(i: int, options: AlgorithmOptions, learner: str, *shapes: str) -> list[tuple]:
    """High self-play of agent i, low cross-play with the others."""
    others = [j for j in range(options.population) if j != i]
    push = -options.crossplay_weight / len(others)
    return [
        (learner, f"base_{i}", f"base_{i}", 1.0, BOTH_SEATS, *shapes),
        *[(learner, f"base_{i}", f"base_{j}", push, BOTH_SEATS, *shapes) for j in others],
    ]


def _adversarial_diversity(options: AlgorithmOptions) -> AgentsAndEdges:
    members = range(options.population)
    agents: dict[str, Role] = {f"base_{i}": "base" for i in members}
    return agents, _drop_empty([edge for i in members for edge in _diversity_edges(i, options, f"base_{i}")])


def _rational_adversarial_diversity(options: AlgorithmOptions) -> AgentsAndEdges:
    members = range(options.population)
    left = _remaining(options, options.population)
    agents: dict[str, Role] = {f"base_{i}": "base" for i in members}
    agents |= {f"manipulator_{i}": "manipulator" for i in members}
    edges = []
    for i in members:
        edges += [(f"base_{i}", f"base_{i}", f"manipulator_{i}", left, BOTH_SEATS)]
        edges += [(f"base_{i}", f"base_{i}", f"base_{j}", options.partner_play, BOTH_SEATS) for j in members]
        edges += _diversity_edges(i, options, f"manipulator_{i}", f"base_{i}")
    return agents, _drop_empty(edges)


def _entropy_sweep(options: AlgorithmOptions) -> AgentsAndEdges:
    """An agent for each entropy bonus, each learning with itself."""
    names = [f"base_{i}" for i in range(len(options.entropies))]
    return dict.fromkeys(names, "base"), _drop_empty([(name, name, name, 1.0, BOTH_SEATS) for name in names])


#: The checkpoints of each self-play seed that FCP's agent plays with.
SKILLS = ("first", "half", "last")


def _fictitious_co_play(options: AlgorithmOptions) -> AgentsAndEdges:
    partners = [f"partner_{i}_{skill}" for i in range(options.population) for skill in SKILLS]
    edges = [("base_0", "base_0", partner, 1 / len(partners), BOTH_SEATS) for partner in partners]
    return {"base_0": "base", **dict.fromkeys(partners, "fixed")}, _drop_empty(edges)


def compatible_conventions_edges(name: str, earlier: str, options: AlgorithmOptions) -> list[ObjectiveEdge]:
    """What CoMeDi adds to an agent's self-play for the earlier agent that it is most compatible with."""
    return _drop_empty(
        [
            (name, name, earlier, -options.crossplay_weight, BOTH_SEATS),
            (name, name, name, options.mixed_play_weight, BOTH_SEATS, None, earlier),
        ]
    )


def _diverse_conventions(options: AlgorithmOptions) -> AgentsAndEdges:
    """What every agent of CoMeDi may learn from; of the earlier agents one counts at a time."""
    agents: dict[str, Role] = {f"base_{i}": "base" for i in range(options.population)}
    edges: list[ObjectiveEdge] = []
    for i, name in enumerate(agents):
        edges += _drop_empty([(name, name, name, 1.0, BOTH_SEATS)])
        for j in range(i):
            edges += compatible_conventions_edges(name, f"base_{j}", options)
    return agents, edges


_PAIRED = ("sides", "victim_self_play", "antagonist")
ALGORITHMS: dict[str, Algorithm] = {
    entry.name: entry
    for entry in (
        Algorithm("sp", "self-play: one agent learns with itself", (), _self_play),
        Algorithm("br", "best response to a fixed partner", ("sides",), _best_response),
        Algorithm("ap", "adversarial policy against a fixed victim (sabotages)", ("sides",), _adversarial_policy),
        Algorithm(
            "ap-rpg",
            "rational adversarial policy against a fixed victim",
            ("sides", "partner_play"),
            _rational_adversarial_policy,
        ),
        Algorithm("at", "adversarial training (sabotages)", ("sides", "victim_self_play"), _adversarial_training),
        Algorithm(
            "at-rpg",
            "rational adversarial training",
            ("sides", "partner_play", "victim_self_play"),
            _rational_adversarial_training,
        ),
        Algorithm("paired", "regret against a protagonist and an antagonist", _PAIRED, _paired),
        Algorithm("paired-rpg", "rational PAIRED", ("partner_play", *_PAIRED), _rational_paired),
        Algorithm(
            "paired-a-rpg",
            "rational PAIRED attack on a fixed victim",
            ("sides", "partner_play"),
            _rational_paired_attack,
        ),
        Algorithm(
            "ad",
            "adversarial diversity (sabotages)",
            ("population", "crossplay_weight"),
            _adversarial_diversity,
        ),
        Algorithm(
            "ad-rpg",
            "rational adversarial diversity",
            ("population", "crossplay_weight", "partner_play"),
            _rational_adversarial_diversity,
        ),
        Algorithm(
            "sp-sweep",
            "self-play at several entropy bonuses, one after the other",
            ("entropies",),
            _entropy_sweep,
            in_stages=True,
        ),
        Algorithm(
            "sp-augmented",
            "self-play whose episodes also begin in states that play can reach",
            (),
            _self_play,
            settings={"exploring_starts": 0.5},
        ),
        Algorithm(
            "other-play",
            "self-play averaged over the game's symmetries",
            (),
            _self_play,
            settings={"symmetries": True},
        ),
        Algorithm(
            "fcp",
            "fictitious co-play: best response to self-play agents and their earlier selves",
            ("population",),
            _fictitious_co_play,
            settings={"population": 4},
            in_stages=True,
        ),
        Algorithm(
            "comedi",
            "conventions one after the other, each unlike the earlier ones (CoMeDi)",
            ("population", "crossplay_weight", "mixed_play_weight"),
            _diverse_conventions,
            settings={"population": 3},
            in_stages=True,
        ),
    )
}
ALIASES = {"xpd": "ad", "xpd-rpg": "ad-rpg"}


def find_algorithm(name: object) -> Algorithm | None:
    """The catalogue's entry for a name or an alias, if there is one."""
    return ALGORITHMS.get(ALIASES.get(name, name)) if isinstance(name, str) else None


def algorithm(name: str, **options: object) -> Objective:
    """The objective of a catalogue algorithm.

    Args:
        name: one of ``rpax.objectives.ALGORITHMS`` (``xpd`` and ``xpd-rpg`` are accepted for ``ad`` and ``ad-rpg``).
        **options: the fields of :class:`AlgorithmOptions` that the algorithm takes. What is left out takes the values
            shown there in this objective; ``rpax.train`` replaces them by those of its preset for the environment.

    Raises:
        InputError: an unknown algorithm or option, or a value out of range.

    >>> [str(edge) for edge in algorithm("ap").edges]
    ["'adversary: U_victim(victim, adversary) : -1'"]
    """
    entry = find_algorithm(name)
    if entry is None:
        raise InputError(f"algorithm {shown(name)} is unknown; {suggestion(str(name), [*ALGORITHMS, *ALIASES])}")
    for option in options:
        if option not in entry.options:
            takes = f"it takes {', '.join(entry.options)}" if entry.options else "it takes none"
            hint = "its agents always play both seats; leave it out" if option == "sides" else takes
            raise InputError(f"algorithm '{entry.name}' has no option '{option}'; {hint}")
    own = {option: value for option, value in entry.settings.items() if option in entry.options}
    agents, edges = entry.build(AlgorithmOptions(**own | options))  # type: ignore[arg-type]  # checked in __post_init__
    return Objective(agents=agents, edges=edges, name=entry.name, recipe=Recipe(entry.name, dict(options)))
