"""What names an agent of a run: ``SEED:AGENT@UPDATE`` behind the run's directory. Imports no JAX."""

from typing import NamedTuple

from rpax.errors import InputError, shown
from rpax.policies.scripted import SCRIPTED

#: What other texts that name an agent begin and end with; ``uniform`` names one by itself.
JAXMARL, PROBABILITIES, UNIFORM = "jaxmarl:", "[", "uniform"
OWN_FILE, POLICY_FILE = ".py", ".safetensors"


class Reference(NamedTuple):
    """An agent of a run.

    Attributes:
        agent: its name there.
        seed: which seed's; ``None`` for the first.
        update: as it was after this one, a number or ``first`` or ``last``; ``None`` for the last.
    """

    agent: str
    seed: int | None = None
    update: int | str | None = None

    def __str__(self) -> str:
        """The text that :func:`read_reference` reads it from."""
        seed = "" if self.seed is None else f"{self.seed}:"
        return f"{seed}{self.agent}" + ("" if self.update is None else f"@{self.update}")


def read_reference(role: str, text: str, named: str) -> Reference:
    """The agent that ``SEED:AGENT@UPDATE`` names, where SEED and UPDATE may be left out.

    Args:
        role: whose place it takes, for messages.
        text: all that was written, for messages.
        named: the part of it that names the agent.

    Raises:
        InputError: the seed or the update is none, or the agent is missing.
    """
    seed, _, agent = named.rpartition(":")
    if seed and not seed.isdecimal():
        raise InputError(f"{role} {shown(text)}: seed {shown(seed)} is no whole number; write RUN:SEED:AGENT")
    agent, at, update = agent.partition("@")
    if not agent:
        raise InputError(f"{role} {shown(text)} names no agent; write RUN:AGENT")
    if at and update not in ("first", "last") and not update.isdecimal():
        raise InputError(
            f"{role} {shown(text)}: update {shown(update)} is no whole number; write {agent}@UPDATE, {agent}@first or "
            f"{agent}@last"
        )
    return Reference(agent, int(seed) if seed else None, int(update) if update.isdecimal() else update or None)


def names_a_run(text: str) -> bool:
    """Whether a text has none of the other forms that name an agent, so that a run directory is meant."""
    file, _, _ = text.rpartition(":")
    others = text.startswith((PROBABILITIES, JAXMARL, f"{SCRIPTED}:")) or text.endswith((OWN_FILE, POLICY_FILE))
    return not (text == UNIFORM or others or file.endswith(OWN_FILE))
