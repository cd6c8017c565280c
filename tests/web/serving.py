"""Pages served to a real browser by a thread of the tests."""

import asyncio
import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from rpax.environments.protocol import Environment
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import MLP
from rpax.runs.agent import Agent


@contextlib.contextmanager
def serving(app: Any, listening: Any) -> Iterator[str]:
    """The address of an application that is served while the block runs."""
    from rpax.web.server import make_server

    server = make_server(app)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening.socket])), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield listening.url
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def playing(host: Any, **options: Any) -> Iterator[str]:
    """The address of the page on which a host's partners are played with."""
    from rpax.web.play_app import make_play_app
    from rpax.web.server import listen

    host.warm_up()
    listening = listen(port=0)
    app = make_play_app(host, allowed_hosts=listening.allowed_hosts, token=listening.token, **options)
    with serving(app, listening) as url:
        yield url


def untrained(environment: Environment, seed: int = 0) -> Agent:
    """An agent with a small network that has learned nothing."""
    policy = make_agent_policy(
        environment.spaces,
        (0, 1),
        shared=environment.one_policy_for_both_seats,
        make_network=lambda actions: MLP(actions, (8,), 1.0),
    )
    return Agent(f"base_{seed}", policy, jax.tree.map(np.asarray, policy.init(jax.random.key(seed))))


def recordings_in(folder: pathlib.Path) -> list[Any]:
    """What was recorded there, the earliest first."""
    from rpax.recordings.recording import Recording

    files = sorted(folder.glob("*.rpax.json"), key=lambda file: file.stat().st_mtime_ns)
    return [Recording.load(file) for file in files]
