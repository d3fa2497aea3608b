"""Requests that mean harm: by ids, parameters, bodies, questions."""

import functools
import gzip
import json
import os
from urllib.parse import quote

from hostile_attacker import Attacker

API = "/api/v1/iotsense"
TRICKS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%00",
    "%2e%2e",
    ".",
    "..",
    "~",
    "-",
    "'; DROP TABLE event; --",
    "' OR '1'='1",
    '") OR 1=1 --',
    "1; ATTACH DATABASE '/tmp/x' AS x",
    "x'}) DETACH DELETE n //",
    "`}) RETURN 1 UNION MATCH (n) RETURN n //",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "%0d%0aSet-Cookie:%20a=b",
    "\u202e\u0000",
    "\ud7ff\uffff",
    "😀" * 50,
    "line_1.*",
    "%",
    "_",
    "line_1" + "." * 500,
    "a" * 8000,
    "null",
    "NaN",
    "__proto__",
    "constructor",
    "0x7fffffff",
    "9" * 400,
    "-1",
    "1e309",
    "[]",
    "{}",
)
"""Ids and values that were meant for a file system, a database, a template or a log."""


# Ids, paths, parameters


async def path_trick(attacker: Attacker) -> int | None:
    """A node's id that is none."""
    trick, choice = attacker.choice.choice(TRICKS), attacker.choice
    place = choice.choice(
        ["nodes/{}", "twins/{}/state", "signals/{}/history", "commands/{}", "scenarios/{}", "keys/{}", "assets/{}"]
    )
    prefix = choice.choice([f"{API}/", f"{API}/", "/console/", "/problems/", "/graphql/ide/", "/"])
    return await attacker.request(choice.choice(["GET", "GET", "GET", "DELETE"]), prefix + place.format(trick))


async def parameter_trick(attacker: Attacker) -> int | None:
    """Parameters that are none."""
    choice = attacker.choice
    path = choice.choice(
        ["nodes", "events", "graph/neighbours", "graph/paths", "graph/rollup", "reports", "assets", "commands", "audit"]
    )
    names = [
        "node",
        "type",
        "kind",
        "after",
        "limit",
        "from",
        "to",
        "as_of",
        "known_at",
        "scenario",
        "where",
        "along",
        "signal",
    ]
    given = "&".join(
        f"{choice.choice(names)}={quote(choice.choice(TRICKS), safe='')}" for _ in range(choice.randrange(1, 6))
    )
    return await attacker.request("GET", f"{API}/{path}?{given}")


# GraphQL


async def deep_question(attacker: Attacker) -> int | None:
    """A selection within a selection within a selection."""
    depth = attacker.choice.choice([20, 200, 2_000, 20_000])
    inner = attacker.choice.choice(["parent", "children", "feedsInto { node", "relationships { node"])
    closing = depth * (1 + inner.count("{"))
    return await graphql(attacker, "{ nodes { nodes " + f"{{ {inner} " * depth + "{ id }" + " }" * closing + " } }")


async def wide_question(attacker: Attacker) -> int | None:
    """Aliases without end."""
    count = attacker.choice.choice([50, 500, 50_000])
    what = attacker.choice.choice(
        ["nodes(first: 1000) { nodes { id health { score } } }", "__typename", 'node(id: "line_1") { id }']
    )
    return await graphql(attacker, "{ " + " ".join(f"a{i}: {what}" for i in range(count)) + " }")


async def cyclic_fragments(attacker: Attacker) -> int | None:
    """Fragments that hold each other, or each the next twice."""
    count = attacker.choice.choice([1, 2, 40, 500])
    twice = attacker.choice.random() < 0.5
    last = "id" if twice else "...f0"
    fragments = [f"fragment f{i} on Node {{ ...f{i + 1} {f'...f{i + 1}' if twice else ''} }}" for i in range(count)]
    return await graphql(
        attacker, "{ nodes { nodes { ...f0 } } } " + " ".join(fragments) + f" fragment f{count} on Node {{ {last} }}"
    )


async def huge_literal(attacker: Attacker) -> int | None:
    """Numbers, texts, lists and objects larger than anybody needs."""
    literal = attacker.choice.choice(
        [
            "9" * 100_000,
            "1e99999",
            '"' + "x" * 1_000_000 + '"',
            "[" * 5_000 + "]" * 5_000,
            "{a:" * 3_000 + "1" + "}" * 3_000,
        ]
    )
    return await graphql(attacker, f"{{ nodes(first: {literal}) {{ nodes {{ id }} }} }}")


async def broken_question(attacker: Attacker) -> int | None:
    """A question with random characters in it."""
    text = list(
        "query q($i: ID!) { node(id: $i) { id health { score } signals { value } } }" * attacker.choice.randrange(1, 20)
    )
    for _ in range(attacker.choice.randrange(1, 8)):
        text[attacker.choice.randrange(len(text))] = attacker.choice.choice('{}()[]"\\$@!:\x00\u2028&#|=…😀')
    return await graphql(attacker, "".join(text))


async def deep_variables(attacker: Attacker) -> int | None:
    """Variables within variables, and requests that are no requests."""
    depth = attacker.choice.choice([10, 1_000, 100_000])
    body = attacker.choice.choice(
        [
            '{"query":"{ __typename }","variables":' + "[" * depth + "]" * depth + "}",
            '[{"query":"{ __typename }"}]',
            "[" * depth,
            "null",
            '"x"',
            '{"query":5}',
            '{"query":null}',
            "{}",
            '{"query":"{ __typename }","variables":7}',
            '{"query":"{ __typename }","operationName":[]}',
        ]
    )
    return await attacker.json("POST", "/graphql", body)


async def graphql(attacker: Attacker, question: str) -> int | None:
    """The status of a question."""
    return await attacker.json("POST", "/graphql", json.dumps({"query": question}))


# Bodies


async def telemetry_trick(attacker: Attacker) -> int | None:
    """Documents that are none."""
    depth, choice = attacker.choice.choice([100, 10_000, 1_000_000]), attacker.choice
    value = choice.choice(
        [
            "1e999",
            "-1e999",
            "NaN",
            "Infinity",
            "9" * 5_000,
            "[" * depth,
            '"' + "é" * 100_000 + '"',
            "true",
            "null",
            "{}",
            '"\\ud800"',
        ]
    )
    stamp = choice.choice(["1e300", "-9e18", '"9999-12-31T23:59:59Z"', '"0001-01-01"', "9" * 30, '"now"', "null", "[]"])
    device, name = json.dumps(choice.choice(TRICKS)), json.dumps(choice.choice(TRICKS))
    body = f'{{"device_id":{device},"timestamp":{stamp},"measurements":[{{"name":{name},"value":{value}}}]}}'
    return await attacker.json(
        "POST",
        f"{API}/telemetry",
        choice.choice([body, f"[{body}]", body[: len(body) // 2], "[" + "{}," * 5_000 + "{}]"]),
    )


async def other_body(attacker: Attacker) -> int | None:
    """Bodies that are none, for whatever takes one."""
    choice = attacker.choice
    path = choice.choice(
        [
            "events",
            "assets/installations",
            "scenarios",
            "dead-letters/purge",
            "explain",
            "keys",
            "session",
            "definitions/plan",
        ]
    )
    depth = choice.choice([10, 1_000, 100_000])
    body = choice.choice(
        [
            '{"a":' * depth + "1" + "}" * depth,
            "[" * depth + "]" * depth,
            b"\xff\xfe\x00",
            "",
            '{"' + "k" * 100_000 + '":1}',
            json.dumps({"node": choice.choice(TRICKS), "kind": choice.choice(TRICKS), "id": choice.choice(TRICKS)}),
        ]
    )
    return await attacker.json("POST", f"{API}/{path}", body)


async def zip_bomb(attacker: Attacker) -> int | None:
    """A little that becomes much."""
    size = attacker.choice.choice([17, 100, 300]) << 20
    bomb = _bomb(size)
    if attacker.choice.random() < 0.3:
        bomb = gzip.compress(bomb)
    path = attacker.choice.choice([f"{API}/telemetry", "/write?db=x", "/api/v2/write?bucket=x"])
    return await attacker.request("POST", path, bomb, Content_Type="application/json", Content_Encoding="gzip")


@functools.cache
def _bomb(size: int) -> bytes:
    return gzip.compress(bytes(size), 9)


async def yaml_bomb(attacker: Attacker) -> int | None:
    """Definitions that become large, deep or something else."""
    choice = attacker.choice
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(choice.randrange(3, 12))
    )
    depth = choice.choice([100, 5_000, 50_000])
    text = choice.choice(
        [
            laughs,
            "a: &a [*a]\n",
            "[" * depth + "]" * depth,
            "{a: " * depth + "1" + "}" * depth,
            "- " * depth + "x",
            "a: &x {<<: *x}\n",
            "!!python/object/apply:os.system ['true']\n",
            "a: !!binary ????\n",
            "? " * depth,
            "digital_twins: " + "9" * 10_000 + "\n",
            "\x00\x01",
            "--- " * 5_000,
            "digital_twins:\n  - {name: x, computed: [{name: y, expression: '"
            + choice.choice(["9**9**9**9", "'a' * 10**10", "(" * 5_000, "__import__('os')"])
            + "'}]}\n",
        ]
    )
    return await attacker.json(
        "POST", f"{API}/definitions/plan", json.dumps({"documents": {choice.choice(["a.yaml", *TRICKS[:6]]): text}})
    )


async def lines_of_rubbish(attacker: Attacker) -> int | None:
    """Line protocol that is none."""
    rubbish = attacker.choice.choice(
        [
            os.urandom(50_000),
            b"m,=,= f=1\n" * 5_000,
            b"m f=" + b"9" * 100_000,
            b"m" + b"\\" * 50_000,
            b'm f="' + b"x" * 100_000,
            b"\n" * 100_000,
        ]
    )
    return await attacker.request("POST", "/write?db=x", rubbish, Content_Type="text/plain")
