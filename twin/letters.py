"""Dead letters for the facades: those that somebody means, by their ids or all that wait, and what is in them."""

import base64
from collections.abc import Collection, Iterator

from .entry import DeadLetter
from .errors import InvalidValueError
from .twin import Twin

CHUNK = 1000


def chosen(twin: Twin, ids: Collection[int] | None, everything: bool) -> list[list[DeadLetter]]:
    """Those of `ids` that wait, or all that do, in chunks; blocks.

    Raises InvalidValueError unless it is said which: some, or all.
    """
    if everything == (ids is not None):
        raise InvalidValueError('say which dead letters: {"ids": [1, 2]} or {"all": true}', "ids")
    return list(_pending(twin, None if ids is None else set(ids)))


def _pending(twin: Twin, wanted: set[int] | None) -> Iterator[list[DeadLetter]]:
    after = 0 if not wanted else min(wanted) - 1
    while found := twin.dead_letters(after=after, limit=CHUNK):
        after = found[-1].id
        if some := [letter for letter in found if wanted is None or letter.id in wanted]:
            yield some
        if wanted is not None and after >= max(wanted, default=0):
            break


def purged(twin: Twin, letters: list[list[DeadLetter]]) -> int:
    """Forgets them; how many; blocks."""
    return sum(twin.resolve_dead_letters([letter.id for letter in some], "purged") for some in letters)


def shown_payload(letter: DeadLetter) -> tuple[str, str]:
    """The payload as clients read it, and how it is encoded: `text`, or `base64` where it is none."""
    try:
        return letter.payload.decode(), "text"
    except UnicodeDecodeError:
        return base64.b64encode(letter.payload).decode(), "base64"
