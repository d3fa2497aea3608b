"""Topics of Sparkplug (3.0, chapter 4): `spBv1.0/GROUP/TYPE/EDGE_NODE[/DEVICE]`, and `spBv1.0/STATE/HOST`."""

from typing import NamedTuple

NAMESPACE = "spBv1.0"
ALL = f"{NAMESPACE}/#"
STATE = "STATE"
_NODE = {"NBIRTH", "NDEATH", "NDATA", "NCMD"}
_DEVICE = {"DBIRTH", "DDEATH", "DDATA", "DCMD"}


class SparkplugTopic(NamedTuple):
    """Whose message it is and of which kind; `device` None: the edge node's own."""

    group: str
    kind: str
    node: str
    device: str | None = None

    @property
    def address(self) -> str:
        """The device as readings bear it: GROUP/NODE or GROUP/NODE/DEVICE."""
        return "/".join(part for part in (self.group, self.node, self.device) if part)

    def command(self) -> str:
        """The topic of commands to the same."""
        kind = "NCMD" if self.device is None else "DCMD"
        return "/".join(part for part in (NAMESPACE, self.group, kind, self.node, self.device) if part)


def sparkplug_topic(topic: str) -> SparkplugTopic | None:
    """What a topic says; None if it is none of an edge node or its devices."""
    parts = topic.split("/")
    if parts[0] != NAMESPACE or not all(parts):
        return None
    if len(parts) == 4 and parts[2] in _NODE:
        return SparkplugTopic(parts[1], parts[2], parts[3])
    if len(parts) == 5 and parts[2] in _DEVICE:
        return SparkplugTopic(parts[1], parts[2], parts[3], parts[4])
    return None


def is_sparkplug(pattern: str) -> bool:
    """Whether a topic filter is for messages of Sparkplug."""
    return pattern.startswith(f"{NAMESPACE}/")


def state_topic(host: str) -> str:
    """Where a host application says whether it is there."""
    return f"{NAMESPACE}/{STATE}/{host}"
