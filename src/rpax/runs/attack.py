"""Attacks: train an adversary against a frozen victim, then tell sabotage from a real weakness of the victim."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from rpax.errors import InputError, shown
from rpax.objectives.plan import make_plan
from rpax.runs.attack_target import ADVERSARY, VICTIM, Target, check_roles, find_target, prepare_attack
from rpax.runs.certify import Phase, no_phase
from rpax.runs.directory import RunDirectory
from rpax.runs.run import Run, start
from rpax.runs.writing import Unwritable, writing

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.evaluation.attack import AttackReturns, Reference, Thresholds, Verdict
    from rpax.reports.worst_episodes import WorstEpisode
    from rpax.runs.agent import Agent

#: Where the evaluation lies in the attack's run directory.
DOCUMENT, PICTURE, BEST_RESPONSE_FILE = "attack.json", "attack.png", "best_response.safetensors"
#: So many episodes are played, half of them from either seat of a victim that plays both, of which the worst are drawn.
CANDIDATES = 64
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Attack:
    """What came out of an attack.

    Attributes:
        run: the adversary's training.
        victim: who was attacked, in words.
        returns: what everybody got.
        verdict: what that means.
        thresholds: by which rules.
        best_response: the training of the adversary's partner, an agent called ``best_response``; or ``None``.
        worst: the episodes with the victim's lowest returns that were drawn.
    """

    run: Run
    victim: str
    returns: "AttackReturns"
    verdict: "Verdict"
    thresholds: "Thresholds"
    best_response: Run | None
    worst: "tuple[WorstEpisode, ...]"

    def __repr__(self) -> str:
        """Who was attacked, and what came out: one line, without weights."""
        return f"<Attack: {self.run.objective.name} on {self.victim}, {self.verdict.name}: {self.verdict.reason}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `rpax attack --json` prints it."""
        run, best = self.run, self.best_response
        return {
            "run_dir": None if run.path is None else str(run.path),
            "algorithm": run.objective.name,
            "environment": run.config.environment,
            "victim": self.victim,
            "seed": run.config.seed_list[0],
            "status": run.status,
            "update": run.update,
            **self.returns.to_dict(),
            "best_response": None if best is None else {"updates": best.update, "status": best.status},
            "thresholds": dataclasses.asdict(self.thresholds),
            "verdict": dataclasses.asdict(self.verdict),
            "replays": [episode.to_dict() for episode in self.worst],
        }


def attack(
    victim: Any,
    environment: "str | Environment | None" = None,
    algorithm: str = "ap-rpg",
    *,
    agent: str | None = None,
    out: str | os.PathLike[str] | None = None,
    best_response: bool = True,
    replays: int = 2,
    phase: Phase = no_phase,
    judged: "Callable[[Attack], object]" = lambda found: None,
    **settings: Any,
) -> Attack:
    """Train an adversary against a frozen victim, and find out whether it sabotages or shows a real weakness.

    Args:
        victim: a run (or its directory), ``RUN:AGENT``, ``RUN:SEED:AGENT``, each with ``@UPDATE`` if wanted, or
            anything else that a fixed agent may be.
        environment: where they play; the victim's run says it by default.
        algorithm: ``ap-rpg``, ``ap``, ``paired-a-rpg``, or a YAML file with an objective of your own that has a fixed
            agent ``victim`` and a base agent ``adversary``.
        agent: for a run: which of its agents is attacked, with ``@UPDATE`` if wanted.
        out: the attack's run directory; nothing is written where it is ``None``.
        best_response: train a best response to the adversary, without which nothing is called sabotage.
        replays: how many of the worst episodes are drawn, where something is written and the game draws itself.
        phase: called with what is done next; gives a context with a callback as :func:`rpax.train` takes.
        judged: called with what came out before it is written, without pictures of episodes.
        **settings: as :func:`rpax.train` takes them; ``updates`` and ``minutes`` hold for each of the trainings.

    Raises:
        InputError: something is wrong with what was asked for, or what came out cannot be written.
        rpax.errors.NonFiniteError: training became non-finite.
        KeyboardInterrupt: interrupted, after the adversary's training was saved; finish it with :func:`rpax.resume`.

    >>> rpax.attack([0.8, 0.2], "matrix/figure-2", "ap", exact=True, updates=300).verdict.name
    'sabotage'
    """
    target = find_target(victim, agent)
    check_replays(replays)
    config, objective = prepare_attack(target, environment, algorithm, settings)
    place = config.environment if environment is None or isinstance(environment, str) else environment
    fixed = {} if isinstance(target.source, str) else {VICTIM: target.source}
    directory = None if out is None else RunDirectory.create(out, config, objective)
    guarded = contextlib.nullcontext() if directory is None else directory.discarded_if_untrained()
    with guarded, phase(f"{objective.name} on {config.environment}") as progress:
        run = start(config, objective, directory, environment=place, fixed=fixed, progress=progress)
    return evaluate_attack(
        run, target, environment=place, best_response=best_response, replays=replays, phase=phase, judged=judged
    )


def check_replays(replays: int) -> None:
    """Refuse a number of episodes that cannot be drawn.

    Raises:
        InputError: it is no whole number from 0 to that of the episodes played for it.
    """
    if isinstance(replays, bool) or not isinstance(replays, int) or not 0 <= replays <= CANDIDATES:
        raise InputError(f"replays {shown(replays)} is not allowed; give a whole number from 0 to {CANDIDATES}")


def evaluate_attack(
    run: Run,
    target: Target | None = None,
    *,
    environment: "str | Environment | None" = None,
    best_response: bool = True,
    updates: int | None = None,
    minutes: float | None = None,
    replays: int = 2,
    phase: Phase = no_phase,
    judged: Callable[[Attack], object] = lambda found: None,
) -> Attack:
    """Measure and judge a trained adversary; written to its run directory where there is one, and locked meanwhile.

    Args:
        run: the adversary's training, finished or stopped.
        target: who is attacked; found from the run's configuration by default.
        environment: where they play, if not in what the run's configuration names.
        best_response: as in :func:`attack`.
        updates: of the best response's training; the adversary's by default.
        minutes: time limit of the best response's training; the adversary's by default.
        replays: as in :func:`attack`.
        phase: as in :func:`attack`.
        judged: as in :func:`attack`.

    Raises:
        InputError: ``run`` is no attack, or has no policies yet; another process writes its directory; or what came
            out cannot be written, of which ``judged`` knows by then.
    """
    from rpax.runs.session import make_environment

    check_roles(run.objective)
    environment = run.config.environment if environment is None else environment
    game = make_environment(run.config) if isinstance(environment, str) else environment
    limits = (run.config.updates if updates is None else updates, run.config.minutes if minutes is None else minutes)
    with _locked(run):
        found = _judge(run, target, game, _Training(run, environment, *limits, phase), best_response=best_response)
        judged(found)
        return found if run.path is None else _write(found, game, replays, phase)


@contextlib.contextmanager
def _locked(run: Run) -> Iterator[None]:
    """No other process writes the run's directory; nor can this one where it cannot be locked."""
    directory = None if run.path is None else RunDirectory(run.path)
    try:
        if directory is not None:
            directory.open_to_write()
    except Unwritable as error:
        _log.warning("rpax: nothing can be written to %s (%s), so what comes out is not kept", run.path, error.reason)
    try:
        yield
    finally:
        if directory is not None:
            directory.lock.release()


def _judge(
    run: Run, target: Target | None, game: "Environment", training: "_Training", *, best_response: bool
) -> Attack:
    """Train best responses, play and judge."""
    from rpax.evaluation.attack import Thresholds, judge, measure_attack
    from rpax.evaluation.best_response import BEST_RESPONSE, frozen

    target = target or (Target(None) if run.config.victim is None else find_target(run.config.victim))
    agents = {name: run.agent(name) for name in run.objective.agents}
    seats = make_plan(run.objective).seats_of(VICTIM)
    partners = {name: its for name, its in agents.items() if name not in (VICTIM, ADVERSARY) and _can_sit(its, seats)}
    reference = training.reference(target, agents[VICTIM], seats, train=best_response)
    trained = training.best_response(ADVERSARY, agents[ADVERSARY], seats) if best_response else None
    if trained is not None:
        partners[BEST_RESPONSE] = trained.agent(BEST_RESPONSE)
    everyone = frozen(agents)
    with training.phase("playing"):
        returns = measure_attack(
            game,
            everyone[VICTIM],
            everyone[ADVERSARY],
            frozen(partners),
            reference,
            seats,
            episodes=run.config.evaluation_episodes,
            seed=run.config.seed_list[0],
        )
    thresholds = Thresholds()
    verdict = judge(returns, thresholds, best_response=best_response)
    return Attack(run, _told(target, run), returns, verdict, thresholds, trained, ())


def _told(target: Target, run: Run) -> str:
    """The victim in words."""
    if target.source is None:
        return run.config.victim or VICTIM
    return target.source if isinstance(target.source, str) else target.agent or shown(target.source)


def _can_sit(agent: "Agent", seats: tuple[int, ...]) -> bool:
    return set(seats) <= set(agent.seats)


def _run_with_partners(target: Target) -> Run | None:
    """The run that knows a victim's training partners."""
    source = target.loaded_run()
    return source if source is not None and target.agent in source.objective.bases else None


def reference_is_known(target: Target, seats: Collection[int]) -> bool:
    """Whether there is somebody with whom a victim that can play ``seats`` was before, without training one for it."""
    return set(seats) >= {0, 1} or _run_with_partners(target) is not None


@dataclasses.dataclass(frozen=True)
class _Training:
    """How what an attack needs besides the adversary is trained: with the settings of its run."""

    run: Run
    environment: "str | Environment"
    updates: int | None
    minutes: float | None
    phase: Phase

    def best_response(self, name: str, agent: "Agent", seats: tuple[int, ...]) -> Run:
        """The training of a best response, in ``seats``, to an agent."""
        from rpax.evaluation.best_response import best_response_seed, make_mixture, train_best_response

        config = self.run.config
        seed = config.seed_list[0]
        with self.phase(f"best response to the {name}") as progress:
            return train_best_response(
                config,
                self.environment,
                make_mixture({(name, seat): 1.0 for seat in seats}),
                {name: agent},
                seed=best_response_seed(seed, seed, list(self.run.objective.agents).index(name)),
                updates=self.updates,
                minutes=self.minutes,
                progress=progress,
            )

    def reference(self, target: Target, victim: "Agent", seats: tuple[int, ...], *, train: bool) -> "Reference | None":
        """With whom the victim plays where nobody attacks it.

        Itself where it plays both seats, else its training partners, else a best response to it that is trained here.
        """
        from rpax.evaluation.attack import Reference
        from rpax.evaluation.best_response import BEST_RESPONSE, frozen, make_mixture, training_mixture

        if _can_sit(victim, (0, 1)):
            return Reference.itself(seats)
        source = _run_with_partners(target)
        if source is not None and target.agent is not None:
            mixture = training_mixture(source.objective, target.agent)
            partners = {name: source.agent(name, target.seed) for name in mixture.partners}
            told = f"its training partner{'s' if len(partners) > 1 else ''} {', '.join(partners)}"
            told += "" if target.update in (None, "last") else " as of the last update"
            return Reference(told, mixture, frozen(partners))
        if not train:
            return None
        opposite = tuple(1 - seat for seat in seats)
        partner = self.best_response(VICTIM, victim, opposite).agent(BEST_RESPONSE)
        mixture = make_mixture({(BEST_RESPONSE, seat): 1.0 for seat in seats})
        return Reference("a best response to it, trained here", mixture, frozen({BEST_RESPONSE: partner}))


def _write(found: Attack, game: "Environment", replays: int, phase: Phase) -> Attack:
    """Write the best response, the worst episodes, the picture and the document.

    Raises:
        Unwritable: one of them cannot be written; what was there of it stays.
    """
    from rpax.evaluation.best_response import BEST_RESPONSE
    from rpax.reports.attack_picture import draw_attack
    from rpax.reports.worst_episodes import draw_worst_episodes
    from rpax.runs.session import write_policy

    run = found.run
    assert run.path is not None, "called with a run directory only"
    directory, seats = RunDirectory(run.path), make_plan(run.objective).seats_of(VICTIM)
    seed, title = run.config.seed_list[0], f"{run.objective.name} on {game.name}"
    with writing(run.path, then=f"judge it anew with `rpax attack {run.path} --evaluate`"):
        directory.check_there()
        if found.best_response is not None:
            best = found.best_response.agent(BEST_RESPONSE)
            about = {"agent": best.name, "environment": run.config.environment, "algorithm": "br"}
            write_policy(run.path / BEST_RESPONSE_FILE, best.policy, best.parameters, **about)
        with phase("replays"):
            worst = draw_worst_episodes(
                game,
                run.agent(VICTIM),
                run.agent(ADVERSARY),
                seats,
                run.path / "replays",
                count=replays,
                candidates=CANDIDATES,
                seed=seed,
                title=title,
            )
        found = dataclasses.replace(found, worst=worst)
        draw_attack(run.path / PICTURE, found.returns, title=f"{title}: {found.verdict.name}")
        directory.write_json(run.path / DOCUMENT, found.to_dict())
    return found
