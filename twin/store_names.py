"""Under which names the journal knows how far external stores have come."""

POSITION_PREFIX = "store:"


def position_name(type: str, address: str) -> str:
    """A store's name among the journal's positions. Another database begins at the beginning."""
    return f"{POSITION_PREFIX}{type}:{address}"
