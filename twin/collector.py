"""The garbage collector pauses while much is made that stays."""

import contextlib
import gc
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_pauses: list[bool] = []
"""Whether it was on when each of the pauses under way began; whoever ends the last one switches it on again."""


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """No search for cycles within the block, in any thread.

    A graph of 100,000 nodes is a million objects and not one cycle, but the collector looks through all of them again
    and again while they grow in number: that took three quarters of the time in which such a graph was built.
    """
    with _lock:
        _pauses.append(gc.isenabled() or any(_pauses))
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            was_on = _pauses.pop()
            if was_on and not _pauses:
                gc.enable()
