"""Under which names the journal knows how far external stores have come, and how far sources have been read."""

POSITION_PREFIX = "store:"
SOURCE_PREFIX = "source:"
"""Positions of sources: numbers of the source's own, not of entries of the journal."""


PUBLISHING_PREFIX = "publish:"
"""Positions of endpoints that are published to: they hold the journal no longer than its retention does."""


def position_name(type: str, address: str) -> str:
    """A store's name among the journal's positions. Another database begins at the beginning."""
    return f"{POSITION_PREFIX}{type}:{address}"
