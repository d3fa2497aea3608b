"""How much becomes one transaction: more while the disk is slow, so that what it can do is shared by more readings."""

GROUP_BYTES = 256 << 10
GROUP_MESSAGES = 4096
# A commit that takes no longer [s] needs no larger groups: taking in a group of the least size takes about as long.
_QUICK_S = 0.01
_MOST = 8.0


class GroupSize:
    """bytes, messages: of the next group. It bounds how long the event loop is busy at a stretch."""

    def __init__(self, least: int = GROUP_BYTES) -> None:
        self._least = least
        self._scale = 1.0
        self.bytes = least
        self.messages = GROUP_MESSAGES

    def committed(self, seconds: float) -> None:
        """A commit took so long: the next group may keep the event loop busy for about as long, within bounds."""
        wanted = min(_MOST, max(1.0, seconds / _QUICK_S))
        self._scale = (self._scale + wanted) / 2  # one slow commit is no slow disk
        self.bytes = int(self._least * self._scale)
        self.messages = int(GROUP_MESSAGES * self._scale)
