"""Prometheus text: numbers of the service and of its sources, never one per signal."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Sample(NamedTuple):
    """A number and the labels under which it stands."""

    value: float
    labels: Mapping[str, str] = {}


class Metric(NamedTuple):
    """A family: `name` ends in `_total` if it only rises (a counter), in its base unit otherwise."""

    name: str
    meaning: str
    samples: Iterable[Sample]


def exposition(metrics: Iterable[Metric]) -> str:
    """The text that Prometheus scrapes."""
    lines = []
    for metric in metrics:
        kind = "counter" if metric.name.endswith("_total") else "gauge"
        lines.append(f"# HELP {metric.name} {metric.meaning}")
        lines.append(f"# TYPE {metric.name} {kind}")
        lines += [f"{metric.name}{_labels(sample.labels)} {_number(sample.value)}" for sample in metric.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
