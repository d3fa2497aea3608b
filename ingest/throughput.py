"""How fast something comes, as of now: a count a second that forgets what was long ago."""

import math
import time

MEMORY_S = 10.0
"""What is older than this [s] counts for less than 37 %."""


class Throughput:
    """An exponentially weighted rate. `add` as it happens; `rate` is right from the first second on."""

    __slots__ = ("_at", "_began", "_weighted")

    def __init__(self) -> None:
        self._began = self._at = time.monotonic()
        self._weighted = 0.0

    def add(self, count: int) -> None:
        """So many more."""
        self._weighted = self._weighted * self._decay() + count
        self._at = time.monotonic()

    @property
    def rate(self) -> float:
        """A second, over the last seconds."""
        span = 1.0 - math.exp(-max(1.0, time.monotonic() - self._began) / MEMORY_S)
        return self._weighted * self._decay() / (MEMORY_S * span)

    def _decay(self) -> float:
        return math.exp((self._at - time.monotonic()) / MEMORY_S)
