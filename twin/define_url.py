"""Addresses on the network, as fields of definitions."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from .define_types import refuse, shorten


@dataclass(frozen=True)
class Url:
    """Marks a text field as an address with one of these schemes, and without a password in it."""

    schemes: tuple[str, ...]

    def check(self, text: str) -> str:
        """The address as it is, or a mistake of the author's."""
        expected = f"expected an address such as {self.schemes[0]}://host"
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise refuse(f"found {shorten(text)!r}, {expected}") from None
        if parts.password is not None:
            # The address is not repeated: a finding may end up in a log.
            raise refuse("found a password in an address, expected the fields `username` and `password`")
        if "${" in text:  # A variable that is not set: that is told already.
            return text
        if parts.scheme not in self.schemes or "://" not in text:
            others = f" ({', '.join(self.schemes)})" if len(self.schemes) > 1 else ""
            raise refuse(f"found {shorten(text)!r}, {expected}{others}")
        if not parts.hostname or port == 0:
            raise refuse(f"found {shorten(text)!r}, which names no host and port, {expected}")
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pattern = "|".join(scheme.replace(".", r"\.").replace("+", r"\+") for scheme in self.schemes)
        return {"type": "string", "pattern": rf"^(({pattern})://|\$\{{)."}
