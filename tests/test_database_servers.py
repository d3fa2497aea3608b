"""The database servers that tests use are real, and can be killed and brought back."""

import httpx
import psycopg
import pytest
from database_fixtures import PASSWORD, TOKEN, InfluxDB, PostgreSQL


@pytest.mark.needs("postgresql")
def test_postgresql_keeps_what_was_committed() -> None:
    server = PostgreSQL()
    server.start()
    try:
        url = f"{server.url}/{server.database()}"
        with psycopg.connect(url, user="plant", password=PASSWORD) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server.kill()
        server.start()
        with psycopg.connect(url, user="plant", password=PASSWORD) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    finally:
        server.remove()


@pytest.mark.needs("influxdb")
def test_influxdb_keeps_what_was_written() -> None:
    server = InfluxDB()
    server.start()
    try:
        server.set_up()
        head = {"Authorization": f"Token {TOKEN}"}
        where = {"org": "plant", "bucket": "first"}
        httpx.post(f"{server.url}/api/v2/write", params=where, content="m f=7", headers=head).raise_for_status()
        server.kill()
        server.start()
        asked = httpx.get(f"{server.url}/query", params={"db": "first", "q": "SELECT f FROM m"}, headers=head)
        assert asked.json()["results"][0]["series"][0]["values"][0][1] == 7
    finally:
        server.remove()
