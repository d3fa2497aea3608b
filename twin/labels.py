"""The texts behind the codes of text and boolean signals."""

import threading
from collections.abc import Iterable

from .entry import NewLabel
from .errors import InvalidValueError

MAX_LABELS = 256


class Labels:
    """Per signal, texts in the order of their codes: the defined ones first, then those met at run time.

    A new text gets its code at once, and is journalled with the next commit, before the readings that use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[int, list[str]] = {}
        self._codes: dict[tuple[int, str], int] = {}
        self._new: list[NewLabel] = []

    def define(self, signal: int, texts: Iterable[str]) -> None:
        """The texts of a definition; those that the signal has already keep their codes."""
        with self._lock:
            for text in texts:
                self._code(signal, text)

    def code(self, signal: int, text: str) -> int:
        """The code of a text; a text not met before gets the next one. Raises InvalidValueError beyond 256."""
        code = self._codes.get((signal, text))
        if code is not None:
            return code
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

    def absorb(self, labels: Iterable[NewLabel]) -> None:
        """Takes in journalled labels, on recovery; those that are known already change nothing."""
        with self._lock:
            for label in labels:
                if label.code == len(self._texts.get(label.signal, ())):
                    self._code(label.signal, label.text)

    def texts(self, signal: int) -> tuple[str, ...]:
        """The signal's texts by code; empty for a numeric signal."""
        return tuple(self._texts.get(signal, ()))

    def text(self, signal: int, code: float) -> str | None:
        """The text behind a code; None if there is none."""
        texts = self._texts.get(signal)
        return texts[int(code)] if texts and 0 <= code < len(texts) else None

    def dump(self) -> dict[int, list[str]]:
        """All texts, for a checkpoint."""
        with self._lock:
            return {signal: list(texts) for signal, texts in self._texts.items()}

    def restore(self, texts: dict[int, list[str]]) -> None:
        """Begins from a checkpoint's texts."""
        with self._lock:
            self._texts = texts
            self._codes = {(signal, text): i for signal, known in texts.items() for i, text in enumerate(known)}
