"""`${VARIABLE}` in definitions: filled in from the environment when they are read, secrets only when they are used.

`${NAME}` and `${env.NAME}` name a variable; `${NAME:-text}` has a text for when it is not set; `$${` is a plain `${`.
HOSTNAME falls back to the host's name. Fields that an engine fills in message by message (`${topic.split('/')[1]}`,
`${equipment.model}`) keep their `${...}`; there a variable is written in capitals or as `env.NAME`.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .document import Items, Place
from .document import Mapping as Tree
from .errors import InvalidValueError
from .finding import Finding, path_text
from .suggestion import nearest

SECRET_KEYS = frozenset(
    {
        "password",
        "key_password",
        "private_key_password",
        "user_private_key_password",
        "psk",
        "token",
        "api_key",
        "auth_token",
        "routing_key",
        "secret",
    }
)
"""Fields that keep their reference: what it stands for is fetched by `reveal` and written down nowhere."""
LATE_KEYS = frozenset({"headers"})
"""Mappings whose texts are filled in when they are sent, because there may be a secret in them."""
TEMPLATE_KEYS = frozenset(
    {
        "fields",
        "schema",
        "parts",
        "message",
        "description",
        "component_types",
        "name_template",
        "topic_template",
        "payload_template",
        "payload",
    }
)
"""Fields, mappings and sections whose `${...}` an engine fills in, or each instance of a type."""

_REFERENCE = re.compile(r"(?<!\$)\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"(env\.)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\Z", re.DOTALL)
_CAPITALS = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
_FILE = "file:"


def variable(name: str, env: Mapping[str, str]) -> str | None:
    """A variable's value, or None; HOSTNAME is always known."""
    value = env.get(name)
    return socket.gethostname() if value is None and name == "HOSTNAME" else value


def reveal(text: str, env: Mapping[str, str] = os.environ) -> str:
    """The text with the variables and files in place that its references name: a secret, at the moment of its use.

    Raises InvalidValueError, without any secret in it, if a variable is not set or a file cannot be read.
    """
    return _REFERENCE.sub(lambda match: _revealed(match[1], env), text)


def _revealed(reference: str, env: Mapping[str, str]) -> str:
    if reference.startswith(_FILE):
        path = reference.removeprefix(_FILE)
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValueError(f"the secret in {path} cannot be read: {type(error).__name__}") from None
    match = _VARIABLE.match(reference)
    value = (variable(match[2], env) or match[3]) if match else None
    if value is None:
        raise InvalidValueError(f"the variable {reference} is not set")
    return value


class Substitution:
    """Fills the variables into a tree, in place.

    `findings` names those that are not set. `unset` and `filled` are the places (container's id, key) of texts that
    keep an unset variable and of texts that came from one, whose type is therefore not the author's mistake.
    """

    def __init__(self, env: Mapping[str, str], base: Path | None = None) -> None:
        self.findings: list[Finding] = []
        self.unset: set[tuple[int, str | int]] = set()
        self.filled: set[tuple[int, str | int]] = set()
        self._env = env
        self._base = base
        self._seen: set[int] = set()

    def fill(self, tree: Any, path: tuple[str | int, ...] = (), template: bool = False, late: bool = False) -> None:
        """Fills in all that is below a mapping or list."""
        if id(tree) in self._seen:  # An alias leads here twice.
            return
        self._seen.add(id(tree))
        for key, value, place in _entries(tree):
            # Items keep the number that they have in the file, so that what a `for_each` repeats is told once.
            here = (*path, tree.numbers[key] if isinstance(tree, Items) else key)
            secret = late or key in LATE_KEYS or (key in SECRET_KEYS and isinstance(tree, Tree))
            open_ended = template or key in TEMPLATE_KEYS
            if isinstance(value, (Tree, Items)):
                self.fill(value, here, open_ended, secret)
            elif isinstance(value, str) and "${" in value:
                tree[key] = self._text(value, (id(tree), key), place, here, open_ended, secret)

    def _text(
        self,
        text: str,
        entry: tuple[int, str | int],
        place: Place,
        path: tuple[str | int, ...],
        template: bool,
        secret: bool,
    ) -> str:
        def replaced(match: re.Match[str]) -> str:
            reference = match[1]
            if secret and reference.startswith(_FILE):
                self._look_for(reference.removeprefix(_FILE), place, path)
                return match[0]
            parts = _VARIABLE.match(reference)
            if parts is None or (template and not parts[1] and not _CAPITALS.match(parts[2])):
                if not template:
                    self._warn(place, path, f"found ${{{reference}}}, which nothing fills in here")
                return match[0]
            value = variable(parts[2], self._env)
            value = parts[3] if value is None else value
            if value is None:
                hint = nearest(parts[2], tuple(sorted(self._env)))
                self._warn(place, path, f"the variable {parts[2]} is not set", hint)
                self.unset.add(entry)
            if value is None or secret:
                return match[0]
            self.filled.add(entry)
            return value

        return _REFERENCE.sub(replaced, text)

    def _look_for(self, name: str, place: Place, path: tuple[str | int, ...]) -> None:
        if not (self._base or Path()).joinpath(name).exists():
            self._warn(place, path, f"the file {name} is not there")

    def _warn(self, place: Place, path: tuple[str | int, ...], message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(*place, "warning", path_text(path), message, hint))


def _entries(tree: Any) -> Iterator[tuple[Any, Any, Place]]:
    if isinstance(tree, Tree):
        for key, value in list(tree.items()):
            yield key, value, tree.value_places[key]
    else:
        for index, value in enumerate(list(tree)):
            yield index, value, tree.item_places[index]
