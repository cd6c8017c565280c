"""Entry point: finds the verb, runs it, and turns what goes wrong into one line and an exit status."""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import IO, cast

from rpax._version import __version__
from rpax.cli.output import Unheard, say
from rpax.errors import InputError, NonFiniteError, suggestion
from rpax.runs.interruption import INTERRUPTED, end_on_signals
from rpax.runs.machine import usable_cores

DONE, WRONG_INPUT, NON_FINITE = 0, 2, 3

#: verb -> what it does; each lives in ``rpax.cli.<verb>``, ``-`` as ``_``, with a ``Command`` dataclass that has
#: ``run()``.
VERBS = {
    "reproduce": "run one of the paper's experiments end to end and compare it with the paper",
    "train": "train an algorithm on an environment",
    "resume": "continue a run to its end",
    "cross-play": "everybody with everybody: table, heatmap, honest intervals",
    "report": "one report of runs: curves, cross-play, attacks, gaps, diagnoses",
    "attack": "train an adversary against a fixed agent, and tell sabotage from a real weakness",
    "certify": "rationality gap of each agent of a run",
    "explore": "runs in the browser: curves, cross-play grid, episodes to watch; or one file of it",
    "play": "play with a run's agents in the browser",
    "replay": "moving pictures of agents of a run that play together",
    "show": "draw an algorithm's objective graph",
    "list": "algorithms and environments",
    "bench": "throughput, compile time, memory, and where the time goes",
}

_EXAMPLES = """examples:
  rpax reproduce figure-2
  rpax train at-rpg matrix/figure-2 --exact --seeds 5
  rpax train ad-rpg matrix/custom --payoffs '[[1, 0], [0, 1]]'
  rpax show ad-rpg
  rpax train --help"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    A standard output that cannot be written ends nothing; it is told in the end, unless nobody was to read on.
    """
    output = Unheard(sys.stdout)
    with contextlib.redirect_stdout(cast("IO[str]", output)):
        status = _main(list(sys.argv[1:] if arguments is None else arguments))
        output.flush()
    if output.error is None or isinstance(output.error, BrokenPipeError):
        return status
    reason = getattr(output.error, "strerror", None) or output.error
    say(
        f"rpax: standard output cannot be written ({reason}); make room where it goes; the files that the command "
        "wrote are whole"
    )
    return status or WRONG_INPUT


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return DONE
    if arguments[0] == "--version":
        print(f"rpax {__version__}")
        return DONE
    verb = arguments[0]
    try:
        if verb not in VERBS:
            raise InputError(f"command '{verb}' is unknown; {suggestion(verb, VERBS)}")
        from rpax.cli.parse import parse

        command = parse(importlib.import_module(f"rpax.cli.{verb.replace('-', '_')}").Command, verb, arguments[1:])
        return command.run()
    except InputError as error:
        say(f"rpax: {' '.join(str(error).split())}")
        return WRONG_INPUT
    except KeyboardInterrupt:
        say("rpax: interrupted")
        return INTERRUPTED
    except NonFiniteError as error:
        say(f"rpax: {error}")
        return NON_FINITE
    except OSError as error:
        from rpax.runs.writing import of_disk

        unwritable = of_disk(error)
        if unwritable is None:
            raise
        say(f"rpax: {unwritable}")
        return WRONG_INPUT
    except (RuntimeError, MemoryError) as error:
        lacking = _lacking_memory(error)
        if lacking is None:
            raise
        say(f"rpax: not enough memory ({lacking}); lower --envs, --steps or --seeds")
        return WRONG_INPUT


def _lacking_memory(error: Exception) -> str | None:
    """What could not be had, if that is what went wrong: in Python, NumPy or JAX, which raises a RuntimeError."""
    code, _, reason = str(error).partition(": ")
    if isinstance(error, MemoryError):
        reason = str(error)
    elif code != "RESOURCE_EXHAUSTED":
        return None
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else "no more can be had"


def console() -> None:
    """What the installed `rpax` command calls."""
    end_on_signals()
    # Tracing programs makes very many objects that live: looking for garbage among them less often saves a sixth.
    gc.set_threshold(50_000, 20, 100)
    # Every core is a device of its own, over which environments are spread; read when JAX starts.
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(usable_cores()))
    sys.exit(main())


def help_text() -> str:
    """What `rpax --help` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items())
    return (
        f"rpax {__version__}: Rational Policy Gradient, adversarial multi-agent training without self-sabotage\n\n"
        f"usage: rpax COMMAND … [--options]\n\ncommands:\n{verbs}\n\n{_EXAMPLES}"
    )
