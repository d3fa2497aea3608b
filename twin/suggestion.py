"""Did you mean: the nearest of what would have been right."""

import difflib
import functools
from collections import Counter, defaultdict
from collections.abc import Iterable
from zoneinfo import available_timezones

CANDIDATES = 20


@functools.lru_cache(maxsize=4096)
def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """The nearest of a few known words, or None if none is near."""
    plain = _plain(word)
    same = [each for each in known if _plain(each) == plain] or [each for each in known if sorted(each) == sorted(word)]
    matches = same or difflib.get_close_matches(word, known, 1, 0.6)
    return matches[0] if matches else None


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def nearest_timezone(text: str) -> str | None:
    """The nearest name of the IANA database."""
    return NearestWord(available_timezones()).find(text)


class NearestWord:
    """Finds the nearest of many known words, without comparing with each of them: those that share most trigrams."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = known
        self._by_gram: defaultdict[str, list[str]] | None = None
        self._found: dict[str, str | None] = {}

    def find(self, word: str) -> str | None:
        """The nearest known word, or None if none is near."""
        if word not in self._found:
            self._found[word] = self._nearest(word)
        return self._found[word]

    def _nearest(self, word: str) -> str | None:
        if self._by_gram is None:
            self._by_gram = defaultdict(list)
            for known in dict.fromkeys(self._known):
                for gram in _grams(known):
                    self._by_gram[gram].append(known)
        shared: Counter[str] = Counter()
        # Rare trigrams tell words apart; those that most words share would cost most and tell least.
        for holders in sorted((self._by_gram.get(gram, []) for gram in _grams(word)), key=len)[:12]:
            shared.update(holders[:2000])
        likely = [known for known, _ in shared.most_common(CANDIDATES)]
        matches = difflib.get_close_matches(word, likely, 1, 0.6)
        return matches[0] if matches else None


def _grams(word: str) -> set[str]:
    padded = f"  {word.lower()} "
    return {padded[n : n + 3] for n in range(len(padded) - 2)}
