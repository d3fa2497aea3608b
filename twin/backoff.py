"""How long a source or a store waits before it tries again: doubling, bounded, never in step with its neighbours."""

import random


class Backoff:
    """Waiting times [s] from `first`, doubling up to `longest`, each shortened at random by up to a half.

    The jitter keeps a plant's worth of clients from storming a broker that has just come back.
    """

    def __init__(self, first: float = 0.5, longest: float = 30.0) -> None:
        self.first = first
        self.longest = longest
        self._next = first

    def next(self) -> float:
        """The time to wait now."""
        wait = self._next
        self._next = min(wait * 2, self.longest)
        return wait * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: the next failure begins with the shortest wait again."""
        self._next = self.first
