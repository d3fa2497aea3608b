"""Which of the media types that there are a client would rather have (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from starlette.requests import Request

from .http_errors import NotAcceptableError


def preferred(request: Request, offered: Sequence[str]) -> str:
    """One of the media types offered, the first of those that the client likes best; raises NotAcceptableError."""
    header = request.headers.get("accept", "").strip()
    if not header:
        return offered[0]
    wanted = [_weighted(part) for part in header.split(",") if part.strip()]
    best = max(offered, key=lambda media: _liking(media, wanted))  # the first of equals
    if _liking(best, wanted) <= 0:
        raise NotAcceptableError(header, offered)
    return best


def _weighted(part: str) -> tuple[str, float]:
    media, *parameters = (each.strip() for each in part.split(";"))
    weight = next((text[2:] for text in parameters if text[:2].lower() == "q="), "1")
    try:
        return media.lower(), min(max(float(weight), 0.0), 1.0)
    except ValueError:
        return media.lower(), 0.0


def _liking(media: str, wanted: Sequence[tuple[str, float]]) -> float:
    """The weight of the most specific range that the media type is in."""
    for range_ in (media, f"{media.partition('/')[0]}/*", "*/*"):
        found = [weight for name, weight in wanted if name == range_]
        if found:
            return max(found)
    return 0.0
