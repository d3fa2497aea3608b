"""What the points of a source need to be read, joined to lists: each register, node, object or topic once."""

import json
from collections.abc import Mapping
from typing import Any


class JoinedItems:
    """Lists of items by field. Items that agree in everything but their own lists are one, whose lists are joined."""

    def __init__(self) -> None:
        self._lists: dict[str, dict[str, _Item]] = {}

    def add(self, piece: Mapping[str, Any]) -> None:
        """Takes in a part of a connection: `{"devices": [{"device_id": 5, "objects": [{...}]}]}`."""
        for field, items in piece.items():
            known = self._lists.setdefault(field, {})
            for item in items:
                own = {key: value for key, value in item.items() if not _is_items(value)}
                lists = {key: value for key, value in item.items() if _is_items(value)}
                known.setdefault(json.dumps(own, sort_keys=True, default=str), _Item(own)).inner.add(lists)

    def joined(self) -> dict[str, list[dict[str, Any]]]:
        """All of them, in the order in which they came."""
        return {
            field: [item.own | item.inner.joined() for item in items.values()] for field, items in self._lists.items()
        }


class _Item:
    def __init__(self, own: dict[str, Any]) -> None:
        self.own = own
        self.inner = JoinedItems()


def _is_items(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)
