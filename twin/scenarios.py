"""The scenarios of a twin: forking, setting, replaying into and removing them, each a durable entry of the journal."""

import re
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from .as_of import AsOf
from .entry import EntryKind
from .errors import ConflictError, InvalidValueError, NotFoundError
from .graph import Graph
from .journal import Journal
from .live import Live
from .past import Past
from .scenario import PARAMETERS, Scenario, Setting
from .times import format_time, now_ns

MOST = 10_000
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}\Z")


class Scenarios:
    """All methods may be called from any thread; those that write return when it is durable."""

    def __init__(self, live: Live, journal: Journal, past: Past) -> None:
        self._live = live
        self._journal = journal
        self._past = past
        self._writing = threading.Lock()

    def all(self) -> list[Scenario]:
        """Every scenario, in the order of their ids."""
        return sorted(self._live.scenarios.values(), key=lambda scenario: scenario.id)

    def get(self, id: str) -> Scenario:
        """One scenario; raises NotFoundError with the nearest name."""
        return self._live.scenario(id)

    def fork(
        self,
        id: str | None = None,
        *,
        time: int | None = None,
        known_at: int | None = None,
        overrides: Mapping[str, Any] | None = None,
        title: str | None = None,
    ) -> Scenario:
        """Forks the plant as of a world time [ns], by what was known then [ns]; now unless told.

        `overrides` are values by name, as in `override`. Raises ConflictError for an id that is taken.
        """
        now = now_ns()
        time, known_at = now if time is None else time, now if known_at is None else known_at
        with self._writing:
            id = self._new_id(id)
            base = self._past.as_of(time, known_at, None)
            scenario = _overridden(Scenario(id, time, known_at, time, title=title), base, overrides or {}, time)
            return self._write(scenario)

    def override(self, id: str, overrides: Mapping[str, Any]) -> Scenario:
        """Sets parameters and signals from the scenario's clock on: `{"conveyor_1.speed": 2.2}`.

        A name is a component's parameter, else its signal. Raises NotFoundError, InvalidValueError.
        """
        with self._writing:
            scenario = self.get(id)
            base = self._past.as_of(scenario.clock, scenario.known_at, None)
            return self._write(_overridden(scenario, base, overrides, scenario.clock))

    def replay(self, id: str, until: int) -> Scenario:
        """Replays the recorded inputs up to a world time [ns] into it: all that is not held goes on as it was."""
        with self._writing:
            scenario = self.get(id)
            if until < scenario.time:
                raise InvalidValueError(
                    f"{id} begins at {format_time(scenario.time)}; its clock cannot stand before that", "until"
                )
            known_at = max(scenario.known_at, min(now_ns(), until))
            return self._write(msgspec.structs.replace(scenario, clock=until, known_at=known_at))

    def remove(self, id: str) -> None:
        """It is gone; raises NotFoundError."""
        with self._writing:
            self._write(msgspec.structs.replace(self.get(id), removed=True))

    def _new_id(self, id: str | None) -> str:
        known = self._live.scenarios
        if len(known) >= MOST:
            raise ConflictError(f"there are {MOST} scenarios already; remove some")
        if id is None:
            number = len(known) + 1
            while f"scenario_{number}" in known:
                number += 1
            return f"scenario_{number}"
        if not _ID.match(id):
            raise InvalidValueError(f"a scenario's id has letters, digits, - and _, not {id!r}", "id")
        if id in known:
            raise ConflictError(f"a scenario {id!r} is there already")
        return id

    def _write(self, scenario: Scenario) -> Scenario:
        self._journal.write([(EntryKind.SCENARIO, scenario)])
        return scenario


def _overridden(scenario: Scenario, base: AsOf, overrides: Mapping[str, Any], time: int) -> Scenario:
    parameters = {key: dict(values) for key, values in scenario.parameters.items()}
    settings = list(scenario.settings)
    for name, value in overrides.items():
        parameter = _parameter(base.graph, name)
        if parameter is not None:
            parameters.setdefault(parameter[0], {})[parameter[1]] = _plain(value, name)
            continue
        signal = base.graph.find_signal(name).index
        settings = [each for each in settings if (each.signal, each.time) != (signal, time)]
        settings.append(Setting(signal, time, _number(base, signal, value, name)))
    return msgspec.structs.replace(scenario, parameters=parameters, settings=settings)


def _parameter(graph: Graph, name: str) -> tuple[int, str] | None:
    """The node and the parameter that a name means; None if it is no parameter."""
    head, _, last = name.rpartition(".")
    if not head:
        return None
    try:
        node = graph.find(head)
    except NotFoundError:
        return None
    return (node.key, last) if last in node.properties.get(PARAMETERS, {}) else None


def _plain(value: Any, name: str) -> Any:
    if value is None or not isinstance(value, bool | int | float | str | list | dict):
        raise InvalidValueError(f"{name} cannot be set to {value!r}", name)
    return value


def _number(base: AsOf, signal: int, value: Any, name: str) -> float:
    """A value of a signal: a number, or one of its texts."""
    if isinstance(value, str):
        texts = base.labels(signal)
        if value not in texts:
            raise InvalidValueError(f"{name} knows the texts {', '.join(texts) or 'none'}, not {value!r}", name)
        return float(texts.index(value))
    if not isinstance(value, bool | int | float):
        raise InvalidValueError(f"{name} is set to a number or a text, not to {value!r}", name)
    return float(value)
