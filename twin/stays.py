"""When an asset's stay at a place ends: a function of all that was reported, whatever the order in which it was."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from .errors import ConflictError
from .report import Asset
from .times import format_time


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says: this asset came to this place (a node's key) at `begin` [ns], and was taken out at `removed`."""

    identity: str
    place: int
    asset: Asset
    begin: int
    removed: int | None = None


def ends_of(claims: Iterable[Claim]) -> dict[str, int | None]:
    """By identity: the earliest of its removal, the next installation at its place, and the asset's next one anywhere.

    Raises ConflictError for two at the same instant: one place holds one asset, an asset is in one place.
    """
    claims = list(claims)
    ends = {claim.identity: claim.removed for claim in claims}
    for lane in (*_by_place(claims), *_by_asset(claims)):
        for one, next in pairwise(lane):
            if one.begin == next.begin:
                raise ConflictError(_conflict(one, next))
            end = ends[one.identity]
            ends[one.identity] = next.begin if end is None else min(end, next.begin)
    return ends


def _by_place(claims: list[Claim]) -> list[list[Claim]]:
    places: defaultdict[int, list[Claim]] = defaultdict(list)
    for claim in claims:
        places[claim.place].append(claim)
    return [sorted(lane, key=_begin) for lane in places.values()]


def _by_asset(claims: list[Claim]) -> list[list[Claim]]:
    assets: defaultdict[tuple[str | None, str], list[Claim]] = defaultdict(list)
    for claim in claims:
        assets[claim.asset.maker, claim.asset.serial_number].append(claim)
    return [sorted(lane, key=_begin) for lane in assets.values()]


def _begin(claim: Claim) -> int:
    return claim.begin


def _conflict(one: Claim, other: Claim) -> str:
    at = format_time(one.begin)
    if one.place == other.place:
        return f"{other.asset} and {one.asset} cannot both come to one place at {at}; amend or retract the other"
    return f"{one.asset} cannot come to two places at {at}; amend or retract the other report ({one.identity})"
