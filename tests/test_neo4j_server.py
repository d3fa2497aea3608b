"""The real Neo4j that the tests talk to: it starts, serves its Browser, keeps its data and a password."""

from pathlib import Path

import httpx
import neo4j as driver
import pytest
from neo4j_fixtures import USER, Neo4jServer

pytestmark = [pytest.mark.needs("neo4j"), pytest.mark.timeout(600)]
DATABASE = "neo4j"


def test_it_is_neo4j_5_community_and_empty_and_serves_its_browser(neo4j: Neo4jServer) -> None:
    with driver.GraphDatabase.driver(neo4j.url) as connection:
        found = connection.execute_query("CALL dbms.components()", database_=DATABASE).records[0]
        assert found["versions"][0].startswith("5.") and found["edition"] == "community"
        assert connection.execute_query("MATCH (n) RETURN count(n) AS n", database_=DATABASE).records[0]["n"] == 0
    assert "Neo4j Browser" in httpx.get(neo4j.browser_url).text


def test_one_with_a_password_keeps_it_and_what_was_committed_when_it_is_killed(tmp_path: Path) -> None:
    server = Neo4jServer(tmp_path / "neo4j", password="correct horse")
    server.start()
    try:
        for kill in (True, False):
            with driver.GraphDatabase.driver(server.url, auth=(USER, "correct horse")) as connection:
                connection.execute_query("MERGE (n:Site {name: 'Riverside'})", database_=DATABASE)
                found = connection.execute_query("MATCH (n) RETURN n.name AS name", database_=DATABASE).records
                assert [record["name"] for record in found] == ["Riverside"]
            if kill:
                server.kill()
                server.start()
        with (
            driver.GraphDatabase.driver(server.url, auth=(USER, "another one")) as connection,
            pytest.raises(driver.exceptions.AuthError),
        ):
            connection.verify_connectivity()
    finally:
        server.stop()
