"""The instant of a read: what every read of the SDK takes."""

from collections.abc import Mapping
from typing import Any, TypedDict

from .client_history import Moment, moment

TIMES = ("as_of", "known_at")


class Instant(TypedDict, total=False):
    """The plant at another instant than now.

    as_of: as it was then, structure, state and events. known_at: by what was recorded until then, without later
    corrections and late readings. scenario: in this scenario instead. min_revision: sees at least this revision.
    """

    as_of: Moment | None
    known_at: Moment | None
    scenario: str | None
    min_revision: int | None


def at(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a query, with times as the service reads them; what is None is left out."""
    written = {name: moment(value) if name in TIMES else value for name, value in given.items()}
    return {name: value for name, value in written.items() if value is not None}
