"""The texts behind the codes of text and boolean signals."""

import threading
from bisect import bisect_right
from collections.abc import Iterable

from .entry import NewLabel
from .errors import InvalidValueError

MAX_LABELS = 256
MAX_TEXT = 1_000
"""Characters of a text that a reading brings: it is kept for ever, in memory, and whoever sends it may be anybody."""


class Labels:
    """Per signal, texts in the order of their codes: the defined ones first, then those met at run time.

    A new text gets its code at once, and is journalled with the next commit, before the readings that use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[int, list[str]] = {}
        self._codes: dict[tuple[int, str], int] = {}
        self._since: dict[int, list[int]] = {}
        self._new: list[NewLabel] = []

    def __len__(self) -> int:
        return len(self._codes)

    def define(self, signal: int, texts: Iterable[str], recorded: int) -> None:
        """The texts of a definition; those that the signal has already keep their codes."""
        with self._lock:
            for text in texts:
                self._code(signal, text)
            self._known(signal, recorded)

    def code(self, signal: int, text: str) -> int:
        """The code of a text; a text not met before gets the next one.

        Raises InvalidValueError beyond 256 of them, and for one that is too long.
        """
        code = self._codes.get((signal, text))
        if code is not None:
            return code
        if len(text) > MAX_TEXT:
            raise InvalidValueError(f"a text has at most {MAX_TEXT:,} characters; {text[:40]!r}... has {len(text):,}")
        with self._lock:
            known = len(self._texts.get(signal, ()))
            code = self._code(signal, text)
            if code == known:
                self._new.append(NewLabel(signal, code, text))
            return code

    def _code(self, signal: int, text: str) -> int:
        known = self._codes.get((signal, text))
        if known is not None:
            return known
        texts = self._texts.setdefault(signal, [])
        if len(texts) >= MAX_LABELS:
            raise InvalidValueError(
                f"a text signal keeps at most {MAX_LABELS} different texts; {text[:40]!r} is one more"
            )
        texts.append(text)
        self._codes[signal, text] = len(texts) - 1
        return len(texts) - 1

    def new(self) -> list[NewLabel]:
        """The labels that still have to be journalled."""
        if not self._new:
            return []
        with self._lock:
            return list(self._new)

    def journalled(self, count: int) -> None:
        """The first so many of the new labels are durable."""
        with self._lock:
            del self._new[:count]

    def absorb(self, labels: Iterable[NewLabel], recorded: int) -> None:
        """Takes in labels that were journalled then [ns]; on recovery they are new."""
        with self._lock:
            for label in labels:
                if label.code == len(self._texts.get(label.signal, ())):
                    self._code(label.signal, label.text)
                self._known(label.signal, recorded, label.code + 1)

    def _known(self, signal: int, recorded: int, count: int | None = None) -> None:
        """The first `count` texts (all, unless told) have been known since then, or longer."""
        since = self._since.setdefault(signal, [])
        wanted = len(self._texts.get(signal, ())) if count is None else count
        since.extend([recorded] * (wanted - len(since)))

    def texts(self, signal: int, known_at: int | None = None) -> tuple[str, ...]:
        """The signal's texts by code, all or those that were known then [ns]; empty for a numeric signal."""
        texts = self._texts.get(signal, ())
        if known_at is None:
            return tuple(texts)
        return tuple(texts[: bisect_right(self._since.get(signal, ()), known_at)])

    def text(self, signal: int, code: float) -> str | None:
        """The text behind a code; None if there is none."""
        texts = self._texts.get(signal)
        return texts[int(code)] if texts and 0 <= code < len(texts) else None

    def dump(self) -> dict[int, list[str]]:
        """All texts, for a checkpoint."""
        with self._lock:
            return {signal: list(texts) for signal, texts in self._texts.items()}

    def dump_since(self) -> dict[int, list[int]]:
        """Since when each text has been known [ns], for a checkpoint."""
        with self._lock:
            return {signal: list(since) for signal, since in self._since.items()}

    def restore(self, texts: dict[int, list[str]], since: dict[int, list[int]]) -> None:
        """Begins from a checkpoint's texts; those without a time have been known for ever."""
        with self._lock:
            self._texts = texts
            self._since = {signal: since.get(signal) or [0] * len(known) for signal, known in texts.items()}
            self._codes = {(signal, text): i for signal, known in texts.items() for i, text in enumerate(known)}
