"""Keeps a service's tasks running: one that fails is restarted with growing pauses, and everybody can see why."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("iotsense.service")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0

Run = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class TaskStatus:
    """How a task is: `error` is what it last failed with, until it has run steadily again."""

    running: bool = True
    restarts: int = 0
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For /health."""
        return {"running": self.running, "restarts": self.restarts, "error": self.error}


class Supervisor:
    """Tasks by name."""

    def __init__(self) -> None:
        self.statuses: dict[str, TaskStatus] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, run: Run) -> None:
        """Runs it until `stop`; whenever it ends or fails, it is begun again."""
        status = self.statuses[name] = TaskStatus()
        self._tasks[name] = asyncio.create_task(self._keep(name, run, status), name=name)

    async def stop(self, *names: str) -> None:
        """Ends these tasks, or all, and waits for them."""
        ending = [self._tasks.pop(name) for name in names or tuple(self._tasks)]
        for name in names or tuple(self.statuses):
            self.statuses.pop(name, None)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def _keep(self, name: str, run: Run, status: TaskStatus) -> None:
        pause = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            status.running = True
            forgive = asyncio.get_running_loop().call_later(STEADY_S, _forgive, status)
            try:
                await run()
                status.error = "it ended by itself"
            except Exception as error:  # whatever a task fails with must not stop the others, and be seen in /health
                status.error = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                log.error("%s failed and is restarted: %s", name, status.error, exc_info=error)
            finally:
                forgive.cancel()
            status.running = False
            status.restarts += 1
            if time.monotonic() - began > STEADY_S:
                pause = FIRST_PAUSE_S
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE_S)


def _forgive(status: TaskStatus) -> None:
    status.error = None
