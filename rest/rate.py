"""Rates: how often somebody may do something, with a bounded memory of who did."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 10_000


class Buckets:
    """Token buckets by name. Of the names that were used longest ago it knows nothing any more once there are many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, rate: float, burst: float) -> float:
        """Uses one; the seconds to wait if there is none: 0 if there was one. rate: how many come back a second."""
        now = self._clock()
        left, at = self._left.get(name, (burst, now))
        left = min(burst, left + (now - at) * rate)
        wait = max(0.0, (1.0 - left) / rate)
        self._left[name] = (left if wait else left - 1.0, now)
        self._left.move_to_end(name)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return wait
