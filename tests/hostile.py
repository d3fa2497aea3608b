"""A siege: random variations of what is known to bring services down. One seed, one siege.

An attack is answered with anything below 500, or the connection is closed; it never takes long, and whatever it asks,
the service answers others meanwhile.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import hostile_requests as requests
import hostile_wire as wire
from hostile_attacker import Attacker

PATIENCE_S = 30.0
ATTACKS: tuple[Callable[[Attacker], Awaitable[int | None]], ...] = (
    requests.path_trick,
    requests.parameter_trick,
    requests.deep_question,
    requests.wide_question,
    requests.cyclic_fragments,
    requests.huge_literal,
    requests.broken_question,
    requests.deep_variables,
    requests.telemetry_trick,
    requests.other_body,
    requests.zip_bomb,
    requests.yaml_bomb,
    requests.lines_of_rubbish,
    wire.broken_http,
    wire.broken_frames,
)


@dataclass
class Siege:
    """What came of it."""

    seed: int
    attacks: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0
    longest_attack: str = ""


async def besiege(url: str, seconds: float, seed: int, key: str | None = None, at_once: int = 4) -> Siege:
    """Attacks for some time, several at once, and asks between them whether the service still answers."""
    siege = Siege(seed)
    ends = time.monotonic() + seconds
    host = urlsplit(url)
    assert host.hostname and host.port

    async def attacker(number: int) -> None:
        attacker = Attacker(host.hostname or "", host.port or 0, random.Random(f"{seed}/{number}"), key)
        while time.monotonic() < ends:
            attack = attacker.choice.choice(ATTACKS)
            began, name = time.monotonic(), attack.__name__
            try:
                async with asyncio.timeout(PATIENCE_S):
                    status = await attack(attacker)
            except TimeoutError:
                siege.failures.append(f"{name}: no answer in {PATIENCE_S:g} s: {attacker.last[:300]!r}")
                continue
            took = time.monotonic() - began
            siege.attacks += 1
            siege.answers[f"{name} {status or 'closed'}"] += 1
            if took > siege.longest:
                siege.longest, siege.longest_attack = took, name
            if status is not None and status >= 500:
                siege.failures.append(f"{name}: {status}: {attacker.last[:1000]!r}")
            if await attacker.request("GET", "/livez") != 200:
                siege.failures.append(f"{name}: afterwards the service is not alive: {attacker.last[:300]!r}")

    await asyncio.gather(*(attacker(number) for number in range(at_once)))
    return siege
