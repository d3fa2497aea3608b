"""Our words as a graph database writes them: `rotary_filler` is a label `RotaryFiller`, `feeds_into` is FEEDS_INTO."""

import functools
import re

from .model import Level

_PART = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

LEVEL_LABELS = {level: str(level).capitalize() for level in Level}
LEVELS = {label: level for level, label in LEVEL_LABELS.items()}
HEALTH_LABELS = ("Healthy", "Warning", "Critical")
_TAKEN = frozenset((*LEVELS, *HEALTH_LABELS))


@functools.lru_cache(maxsize=4096)
def type_label(type: str) -> str:
    """`rotary_filler` -> `RotaryFiller`; a type that is called like a level or a health gets the ending `Type`."""
    label = "".join(part[0].upper() + part[1:] for part in _PART.findall(type)) or "Type"
    return f"{label}Type" if label in _TAKEN else label


@functools.lru_cache(maxsize=4096)
def relationship_type(type: str) -> str:
    """`feeds_into` and `feedsInto` -> `FEEDS_INTO`."""
    return "_".join(_PART.findall(_HUMP.sub("_", type))).upper() or "RELATED_TO"


@functools.lru_cache(maxsize=65_536)
def property_name(*path: str) -> str:
    """`design_speed` -> `designSpeed`; a path of several names is joined: (`geo`, `latitude`) -> `geoLatitude`."""
    parts: list[str] = [part for name in path for part in _PART.findall(name)]
    if not parts:
        return "_".join(path) or "_"
    return parts[0][0].lower() + parts[0][1:] + "".join(part[0].upper() + part[1:] for part in parts[1:])


def snake_case(name: str) -> str:
    """What somebody who wrote `designSpeed` or `FEEDS_INTO` into the database would have called it here."""
    return _HUMP.sub("_", name).lower()


def quoted(name: str) -> str:
    """A label, type or property name for a Cypher text, whatever characters it holds."""
    return "`" + name.replace("`", "``") + "`"
