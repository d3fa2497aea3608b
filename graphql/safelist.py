"""The questions that are answered, where not everybody may ask what they like: texts by their SHA-256."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from graphql import GraphQLError, GraphQLSchema, parse, validate

from ..twin.errors import InvalidValueError

log = logging.getLogger("iotsense.graphql")

NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
NOT_LISTED = "QUERY_NOT_IN_SAFELIST"


def digest(text: str) -> str:
    """The hash by which clients name a text: SHA-256 of its UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class Safelist:
    """Texts of questions. A text counts with and without white space around it."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = {digest(each): each for text in texts for each in (text, text.strip())}

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and digest(text) in self._texts

    def __len__(self) -> int:
        return len({text.strip() for text in self._texts.values()})

    def text(self, hash: str) -> str | None:
        """The text of this hash."""
        return self._texts.get(hash.lower())

    @classmethod
    def load(cls, path: Path) -> "Safelist":
        """From a JSON file (hashes with their texts, or Apollo's manifest), or from a folder of .graphql files.

        Raises InvalidValueError where the file cannot be read, a hash is not that of its text, or a text is no GraphQL.
        """
        try:
            if path.is_dir():
                texts = {str(file): file.read_text("utf-8") for file in sorted(path.rglob("*.graphql"))}
            else:
                texts = _hashed(orjson.loads(path.read_bytes()), path)
        except (OSError, ValueError) as error:
            raise InvalidValueError(f"the safelist {path} cannot be read: {error}", "graphql_safelist") from None
        for name, text in texts.items():
            try:
                parse(text)
            except GraphQLError as error:
                raise InvalidValueError(f"{name} in the safelist is no GraphQL: {error.message}") from None
        if not texts:
            raise InvalidValueError(f"the safelist {path} holds nothing: no question would be answered")
        return cls(texts.values())

    def warn(self, schema: GraphQLSchema) -> None:
        """Tells the log of texts that this schema cannot answer."""
        for hash, text in self._texts.items():
            if errors := validate(schema, parse(text)):
                log.warning("the safelist's question %s cannot be answered: %s", hash[:12], errors[0].message)


def named_hash(extensions: Mapping[str, Any] | None) -> str | None:
    """The hash by which a request names its text, as Apollo's clients do; None if it names none."""
    named = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    hash = named.get("sha256Hash") if isinstance(named, dict) else None
    return hash if isinstance(hash, str) else None


def asked_text(safelist: Safelist | None, query: str | None, extensions: Mapping[str, Any] | None) -> str | None:
    """The text that a request means: its own, or that of the hash. Raises GraphQLError with a code."""
    hash = named_hash(extensions)
    if query is not None and not isinstance(query, str):
        raise GraphQLError("the query must be a text", extensions={"code": "BAD_REQUEST"})
    if hash is None:
        return query
    if query:
        if digest(query) != hash.lower():
            raise GraphQLError("the hash is not that of the query", extensions={"code": "BAD_REQUEST"})
        return query
    if safelist is None:
        raise GraphQLError("PersistedQueryNotSupported", extensions={"code": NOT_SUPPORTED})
    if (text := safelist.text(hash)) is None:
        raise GraphQLError("PersistedQueryNotFound", extensions={"code": NOT_FOUND})
    return text


def _hashed(told: Any, path: Path) -> dict[str, str]:
    """The texts of a file by their hashes."""
    if isinstance(told, dict) and isinstance(told.get("operations"), list):
        told = {str(each.get("id")): each.get("body") for each in told["operations"] if isinstance(each, dict)}
    if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
        raise InvalidValueError(f"the safelist {path} is no JSON object of hashes with their texts")
    for hash, text in told.items():
        if digest(text) != hash.lower():
            raise InvalidValueError(f"the safelist {path} has a text under {hash} whose SHA-256 is {digest(text)}")
    return told
