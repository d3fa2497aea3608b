"""Which external stores a plant has, as its definition says, and how they are reached.

What the definition leaves out of user, password, token and organisation comes from the environment:
IOTSENSE_STORAGE_USERNAME, IOTSENSE_STORAGE_PASSWORD, IOTSENSE_STORAGE_TOKEN, IOTSENSE_STORAGE_ORGANIZATION; then from
what the database's own programs read (PGUSER, PGPASSWORD, PGPASSFILE; INFLUX_TOKEN, INFLUX_ORG).
"""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .define_config import Storage
from .errors import InvalidValueError, StoreRefusedError
from .influx_server import InfluxAddress
from .store import HistoryStore
from .store_influx import InfluxStore
from .store_postgres import PostgresAddress, PostgresStore
from .substitution import reveal

_POSTGRES = ("postgresql", "timescaledb")


def storage_of(definition: Mapping[str, Any]) -> Storage:
    """The section `iotsense.storage` of a definition, at its defaults where there is none."""
    return Storage.model_validate(definition.get("iotsense", {}).get("storage", {}))


def store_address(storage: Storage) -> str:
    """`host:port/database`."""
    host, port = _host_and_port(storage)
    return f"{host}:{port}/{_database(storage)}"


def history_store(storage: Storage, env: Mapping[str, str] = os.environ) -> HistoryStore:
    """The external store that the section describes; one whose secret is missing says so when it is opened.

    Raises StoreRefusedError if the section names none.
    """
    if storage.type == "embedded":
        raise StoreRefusedError("the definition names no external store for history (iotsense.storage)")
    if storage.type in _POSTGRES:
        return PostgresStore(storage.type, _postgres(storage, env))
    return InfluxStore(storage.type, _influx(storage, env))


def _influx(storage: Storage, env: Mapping[str, str]) -> InfluxAddress:
    host, port = _host_and_port(storage)
    secure = storage.tls or (storage.url or "").startswith("https:")
    return InfluxAddress(
        url=f"{'https' if secure else 'http'}://{host}:{port}",
        bucket=_database(storage),
        organization=storage.organization
        or env.get("IOTSENSE_STORAGE_ORGANIZATION")
        or env.get("INFLUX_ORG")
        or "iotsense",
        token=lambda: secret(storage.token, "IOTSENSE_STORAGE_TOKEN", env) or env.get("INFLUX_TOKEN"),
        retention=storage.retention,
    )


def _postgres(storage: Storage, env: Mapping[str, str]) -> PostgresAddress:
    host, port = _host_and_port(storage)
    return PostgresAddress(
        host=host,
        port=port,
        database=_database(storage),
        username=storage.username or env.get("IOTSENSE_STORAGE_USERNAME") or _url_user(storage),
        password=lambda: secret(storage.password, "IOTSENSE_STORAGE_PASSWORD", env),
        tls=storage.tls,
        retention=storage.retention,
    )


def secret(reference: str | None, variable: str, env: Mapping[str, str]) -> str | None:
    """What a reference stands for, else the variable's value, else None. Raises StoreRefusedError."""
    if reference is None:
        return env.get(variable)
    try:
        return reveal(reference, env)
    except InvalidValueError as error:
        raise StoreRefusedError(f"iotsense.storage: {error}") from None


def _host_and_port(storage: Storage) -> tuple[str, int]:
    usual = 8086 if storage.type == "influxdb" else 5432
    if storage.url is None:
        return storage.host or "", storage.port or usual
    parts = urlsplit(storage.url)
    return parts.hostname or "", parts.port or storage.port or usual


def _url_user(storage: Storage) -> str | None:
    return urlsplit(storage.url).username if storage.url else None


def _database(storage: Storage) -> str:
    path = urlsplit(storage.url).path.strip("/") if storage.url and storage.type in _POSTGRES else ""
    return storage.database or path or "iotsense"
