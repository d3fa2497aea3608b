"""Tokens of OpenID Connect: those of a real issuer, through every door; and those that somebody made up."""

import asyncio
import base64
import hashlib
import hmac
import json
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import orjson
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from oidc_fixtures import AUDIENCE, ROLES, Issuer, running_issuer
from service_fixtures import API, client, document, process, run_cli, write_plant

from iotsense import IoTSense
from iotsense.config import Listen, Settings
from iotsense.rest import oidc_keys
from iotsense.rest.oidc_authentication import LEEWAY_S, MAX_TOKEN, OidcAuthentication
from iotsense.rest.oidc_keys import ALGORITHMS, REFETCH_S, IssuerKeys
from iotsense.service import Service
from iotsense.twin.access import Principal, Role, Scope
from iotsense.twin.errors import ForbiddenError, InvalidValueError, SourceError, UnauthenticatedError
from iotsense.twin.oidc_config import OidcConfig, parse_group_role

pytestmark = pytest.mark.needs("node")


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def own_issuer() -> Iterator[Issuer]:
    """One that a test may rotate and kill."""
    with running_issuer() as issuer:
        yield issuer


class Door:
    """An authenticator apart from any service; `now` [s] moves the clock of its keys, `time` that of tokens."""

    def __init__(self, issuer: Issuer, **config: Any) -> None:
        self.now = 0.0
        self.time = time.time()
        self.keys = IssuerKeys(issuer.url, lambda: self.now)
        self.oidc = OidcAuthentication(issuer.config(**config), self.keys, lambda: self.time)

    async def shows(self, token: str, scheme: str = "Bearer") -> Principal | None:
        headers = [(b"authorization", f"{scheme} {token}".encode())]
        return await self.oidc.authenticate({"type": "http", "headers": headers})

    async def role(self, token: str) -> frozenset[Scope]:
        principal = await self.shows(token)
        assert principal is not None
        return principal.scopes


# Tokens that are good


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"])
async def test_a_token_of_the_issuer_names_who_asks(issuer: Issuer, algorithm: str) -> None:
    principal = await Door(issuer).shows(issuer.token("anna", f"urn:{AUDIENCE}:{algorithm}"))
    assert principal == Principal("anna@plant.example", Role.OPERATOR.scopes)


async def test_the_highest_role_of_the_groups_counts(issuer: Issuer) -> None:
    door = Door(issuer)
    assert await door.role(issuer.token("berta")) == Role.ADMIN.scopes
    assert await door.role(issuer.token("robot-7")) == Role.VIEWER.scopes, "one group is a text"
    with pytest.raises(
        ForbiddenError, match=r"carl is in no group that has a role here: .* holds accounting, football"
    ):
        await door.shows(issuer.token("carl"))
    with pytest.raises(ForbiddenError, match="the claim groups of the token is missing or empty"):
        await door.shows(issuer.token("dora"))
    assert await Door(issuer, groups_claim="realm_access.roles").role(issuer.token("dora")) == Role.VIEWER.scopes
    for groups in ({"plant-guests": 1}, 7, [["plant-guests"]], [None], "plant-guests plant-operators"):
        with pytest.raises(ForbiddenError):
            await door.shows(issuer.signed(groups=groups))
    dotted = {"https://plant.example/groups": ["plant-guests"]}
    door = Door(issuer, groups_claim="https://plant.example/groups")
    assert await door.role(issuer.signed(**dotted)) == Role.VIEWER.scopes


async def test_a_name_cannot_pass_for_another(issuer: Issuer) -> None:
    door = Door(issuer)

    async def name(**claims: Any) -> str:
        principal = await door.shows(issuer.signed(**claims))
        assert principal is not None
        return principal.name

    assert await name(preferred_username="eve@x", email="e@x") == "eve@x"
    for wrong in ("key admin", "this machine", "nobody", "", "a\nb", "x" * 201, 7, "a\u2028b"):
        assert await name(preferred_username=wrong, email="e@x") == "e@x"
    assert await name(email="anna@plant.example", email_verified=False) == "eve"
    with pytest.raises(UnauthenticatedError, match="names nobody"):
        await name(sub="key admin")


async def test_keys_and_other_words_are_not_its_business(issuer: Issuer) -> None:
    door, token = Door(issuer), issuer.token()
    for shown, scheme in (
        ("iots_a.b.c", "Bearer"),
        (token, "Basic"),
        (token, "Token"),
        ("word", "Bearer"),
        ("", "Bearer"),
    ):
        assert await door.shows(shown, scheme) is None
    assert await door.oidc.authenticate({"type": "http", "headers": [(b"x-api-key", token.encode())]}) is None
    assert await door.shows(token, "bearer") is not None


# Tokens that are not


def part(value: Any) -> str:
    """A part of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _hs256(issuer: Issuer, secret: bytes) -> str:
    text = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': issuer.key().key_id})}.{part(issuer.claims())}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def forged(issuer: Issuer) -> dict[str, tuple[str, str]]:
    """Token and words of the refusal, by trick."""
    good, key, now = issuer.token(), issuer.key(), int(time.time())
    head, body, signature = good.split(".")
    stranger = rsa.generate_private_key(65537, 2048)
    public = key.key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    ways, wrong, cut = "not signed in one of the ways", "signature is wrong", "cannot be read"
    foreign = "signed with a key that .* does not show"

    def with_key(header: dict[str, Any]) -> str:
        return jwt.encode(issuer.claims(), stranger, "RS256", header)

    return {
        "none": (f"{part({'alg': 'none'})}.{body}.", ways),
        "None": (f"{part({'alg': 'None'})}.{body}.", ways),
        "none with kid": (f"{part({'alg': 'none', 'kid': key.key_id})}.{body}.{signature}", ways),
        "no alg": (f"{part({'kid': key.key_id})}.{body}.{signature}", ways),
        "alg a list": (f"{part({'alg': ['RS256'], 'kid': key.key_id})}.{body}.{signature}", ways),
        "public key as secret": (_hs256(issuer, pem), ways),
        "public key as secret, stripped": (_hs256(issuer, pem.strip()), ways),
        "another key under its name": (with_key({"kid": key.key_id}), wrong),
        "a key it brings along": (with_key({"kid": key.key_id, "jwk": own}), wrong),
        "a key elsewhere": (with_key({"kid": "mine", "jku": "http://127.0.0.1:1/jwks", "x5u": "http://x/"}), foreign),
        "kid a file": (with_key({"kid": "../../../../dev/null"}), foreign),
        "kid an address": (with_key({"kid": "http://127.0.0.1:1/key"}), foreign),
        "kid a question": (with_key({"kid": "x' UNION SELECT 'key"}), foreign),
        "kid empty": (with_key({"kid": ""}), foreign),
        "kid no text": (f"{part({'alg': 'RS256', 'kid': {'a': 1}})}.{body}.{signature}", cut),
        "kid of another kind of key": (with_key({"kid": issuer.key("EC").key_id}), foreign),
        "crit": (f"{part({'alg': 'RS256', 'kid': key.key_id, 'crit': ['x'], 'x': 1})}.{body}.{signature}", cut),
        "changed": (f"{head}.{part(issuer.claims())}.{signature}", wrong),
        "unsigned": (f"{head}.{body}.", wrong),
        "cut off": (good[:-10], wrong),
        "no JSON": (f"{part(b'{')}.{body}.{signature}", cut),
        "deep": (f"{part(b'[' * 5000)}.{body}.{signature}", cut),
        "huge": (f"{head}.{'A' * MAX_TOKEN}.{signature}", "more than 16 KiB"),
        "not of base64": (f"{head}.ä.{signature}", cut),
        "expired": (issuer.signed(exp=now - LEEWAY_S - 1), "has expired"),
        "without end": (issuer.signed(exp=None), "has no exp"),
        "end no time": (issuer.signed(exp="soon"), "not what it must be"),
        "end beyond all": (issuer.signed(exp=float("inf")), "not what it must be"),
        "not yet": (issuer.signed(nbf=now + LEEWAY_S + 10), "not good yet"),
        "for another": (issuer.token("anna", "urn:billing"), "aud does not name iotsense"),
        "for nobody": (issuer.signed(aud=None), "has no aud"),
        "of another": (issuer.signed(iss="https://id.example"), "another issuer"),
        "of nearly the same": (issuer.signed(iss=f"{issuer.url}/"), "another issuer"),
        "of nobody": (issuer.signed(iss=None), "has no iss"),
    }


async def test_forged_tokens_prove_nothing(issuer: Issuer) -> None:
    door = Door(issuer)
    assert await door.shows(issuer.token()) is not None
    for trick, (token, words) in forged(issuer).items():
        with pytest.raises(UnauthenticatedError, match=words) as refused:
            pytest.fail(f"{trick}: it passes as {await door.shows(token)}")
        assert token not in str(refused.value), trick
        assert len(str(refused.value)) < 300, trick


async def test_clocks_may_be_half_a_minute_apart(issuer: Issuer) -> None:
    door, now = Door(issuer), int(time.time())
    for claims in ({"exp": now - LEEWAY_S + 10}, {"nbf": now + LEEWAY_S - 5}, {"aud": ["billing", AUDIENCE]}):
        assert await door.shows(issuer.signed(**claims)) is not None


# Keys of the issuer


async def test_new_keys_of_the_issuer_are_fetched_but_not_at_every_word(own_issuer: Issuer) -> None:
    door, old = Door(own_issuer), own_issuer.token()
    await asyncio.gather(*(door.shows(old) for _ in range(20)))
    assert own_issuer.peer.tell("asked") == 1, "twenty at once wait for one answer"
    own_issuer.peer.tell("rotate")
    new, unknown = own_issuer.token(), forged(own_issuer)["kid a file"][0]
    for token in (new, unknown):
        with pytest.raises(UnauthenticatedError, match="does not show"):
            await door.shows(token)
    assert own_issuer.peer.tell("asked") == 1
    door.now += REFETCH_S
    assert await door.shows(new) is not None
    for _ in range(50):
        with pytest.raises(UnauthenticatedError):
            await door.shows(unknown)
    assert own_issuer.peer.tell("asked") == 2
    with pytest.raises(UnauthenticatedError, match="does not show"):
        await door.shows(old)  # what the issuer shows no more is good no more


async def test_while_the_issuer_is_away_what_is_known_stays_good(own_issuer: Issuer) -> None:
    door, token = Door(own_issuer), own_issuer.token()
    unknown = forged(own_issuer)["kid a file"][0]
    assert await door.shows(token) is not None
    own_issuer.peer.kill()
    door.now += REFETCH_S
    with pytest.raises(UnauthenticatedError, match="does not show"):
        await door.shows(unknown)
    assert "does not answer" in str(door.keys.problem)
    assert await door.shows(token) is not None
    with pytest.raises(SourceError, match=r"no token can be checked: the keys of http.* could not be fetched"):
        await Door(own_issuer).shows(token)


async def test_the_keys_are_followed(own_issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc_keys, "REFRESH_S", 0.05)
    monkeypatch.setattr(oidc_keys, "REFETCH_S", 0.01)
    keys = IssuerKeys(own_issuer.url)
    following = asyncio.create_task(keys.follow())
    old = own_issuer.key()
    assert (await keys.find(old.key_id, "RS256")).key_id == old.key_id
    own_issuer.peer.tell("rotate")
    for _ in range(500):
        if keys._known(old.key_id, "RS256") is None:  # a withdrawn key goes without anybody asking
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("the withdrawn key stays")
    following.cancel()


@asynccontextmanager
async def answering(pages: dict[str, Any]) -> AsyncIterator[str]:
    """A server of pages, by path; what is no bytes is JSON. `URL` in them is its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        page = pages.get(path)
        text = page if isinstance(page, bytes) else json.dumps(page).replace("URL", url).encode()
        status = b"404 Not Found" if page is None else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\n\r\n%s" % (status, text))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield url


_KEYS = "/.well-known/openid-configuration"
_GOOD = {"issuer": "URL", "jwks_uri": "URL/jwks"}
_SHORT = {"kty": "RSA", "e": "AQAB", "n": part(b"\xc5" * 64)}
_SECRET = {"kty": "oct", "k": part(b"x" * 32), "kid": "a"}


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({}, "answers with status 404"),
        ({_KEYS: b"<html>"}, "does not answer with JSON"),
        ({_KEYS: b"[" * 100_000}, "does not answer with JSON"),
        ({_KEYS: []}, "does not answer with an object"),
        ({_KEYS: b" " * (2 << 20)}, "too much"),
        ({_KEYS: {**_GOOD, "issuer": "URL/"}}, "--oidc-issuer must be the same"),
        ({_KEYS: {**_GOOD, "jwks_uri": "http://keys.example/jwks"}}, "must be https"),
        ({_KEYS: {**_GOOD, "jwks_uri": "file:///etc/passwd"}}, "is no URL"),
        ({_KEYS: {"issuer": "URL"}}, "is no URL"),
        ({_KEYS: _GOOD}, "jwks answers with status 404"),
        ({_KEYS: _GOOD, "/jwks": {"keys": None}}, "no key for signatures"),
        ({_KEYS: _GOOD, "/jwks": {"keys": [None, {}, {"kty": []}, _SECRET, _SHORT]}}, "no key for signatures"),
    ],
)
async def test_an_issuer_that_answers_nonsense_is_told_of(pages: dict[str, Any], words: str) -> None:
    async with answering(pages) as url:
        keys = IssuerKeys(url)
        await keys.refresh()
    assert words in str(keys.problem)


async def test_only_public_keys_for_signatures_are_taken(issuer: Issuer) -> None:
    key = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(issuer.key().key.public_key())), "kid": "a"}
    for name in ("key_ops", "use", "alg"):
        key.pop(name, None)
    shown = [{**key, "alg": "PS256"}, {**key, "use": "enc", "kid": "b"}, {**key, "alg": "HS256", "kid": "c"}]
    async with answering({_KEYS: _GOOD, "/jwks": {"keys": [*shown, _SECRET]}}) as url:
        keys = IssuerKeys(url)
        await keys.refresh()
    assert set(keys._keys) == {("PS256", "a")} and set(ALGORITHMS).isdisjoint({"none", "HS256"})
    assert (await keys.find(None, "PS256")).key_id == "a", "a token need not name the only key"


# A service


@asynccontextmanager
async def guarded(issuer: Issuer, tmp_path: Path) -> AsyncIterator[Service]:
    """A service that believes the issuer's tokens."""
    definitions = (write_plant(tmp_path),)
    settings = Settings(tmp_path / "data", definitions, Listen("127.0.0.1", 0), oidc=issuer.config())
    running = Service(settings)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def test_a_token_opens_what_its_role_allows(issuer: Issuer, tmp_path: Path) -> None:
    async with guarded(issuer, tmp_path) as running, client(running) as http:
        assert (await http.get(f"{API}/nodes")).status_code == 401
        assert (await http.get("/readyz")).status_code == 200
        operator = {"Authorization": f"Bearer {issuer.token()}"}
        assert (await http.get(f"{API}/nodes", headers=operator)).status_code == 200
        who = (await http.get(f"{API}/session", headers=operator)).json()
        assert (who["name"], who["scopes"]) == ("anna@plant.example", sorted(Role.OPERATOR.scopes))
        refused = await http.get(f"{API}/keys", headers=operator)
        assert refused.status_code == 403 and "anna@plant.example lacks the scope access:write" in refused.text
        outsider = await http.get(f"{API}/nodes", headers={"Authorization": f"Bearer {issuer.token('carl')}"})
        assert outsider.status_code == 403 and "carl is in no group that has a role here" in outsider.json()["detail"]
        wrong = await http.get(f"{API}/nodes", headers={"Authorization": f"Bearer {forged(issuer)['expired'][0]}"})
        assert wrong.status_code == 401 and wrong.json()["detail"] == "the token has expired"
        assert "invalid_token" in wrong.headers["www-authenticate"]
        _, key = running.keys.create("hmi", [Scope.PLANT_READ])
        assert (await http.get(f"{API}/nodes", headers={"Authorization": f"Bearer {key}"})).status_code == 200
        health = (await http.get("/health", headers=operator)).json()
        assert health["tasks"]["oidc"] == {"running": True, "restarts": 0, "error": None}
        asked = {"query": "{ nodes { nodes { id } } }"}
        assert "line_1" in (await http.post("/graphql", json=asked, headers=operator)).text


async def test_a_browser_says_its_token_where_it_cannot_set_headers(issuer: Issuer, tmp_path: Path) -> None:
    async with guarded(issuer, tmp_path) as running:
        address = running.url.replace("http", "ws")
        good, outsider = f"Bearer {issuer.token()}", f"Bearer {issuer.token('carl')}"
        for said, answer in ((good, "connection_ack"), (outsider, None), ("Bearer a.b.c", None)):
            async with websockets.connect(f"{address}/graphql", subprotocols=["graphql-transport-ws"]) as socket:
                await _say(socket, type="connection_init", payload={"authorization": said})
                if answer is None:
                    with pytest.raises(websockets.ConnectionClosed):
                        await socket.recv()
                else:
                    assert orjson.loads(await socket.recv())["type"] == answer
        async with websockets.connect(f"{address}{API}/stream?format=json") as socket:
            assert orjson.loads(await socket.recv())["type"] == "hello"
            await _say(socket, type="authorize", authorization=outsider)
            assert orjson.loads(await socket.recv())["problem"]["status"] == 403
            await _say(socket, type="authorize", authorization=good)
            await _say(socket, type="subscribe")
            assert orjson.loads(await socket.recv())["type"] == "table"
        for header, status in ((good, None), ("Bearer a.b.c", 403)):
            try:
                headers = {"Authorization": header}
                async with websockets.connect(f"{address}{API}/stream", additional_headers=headers) as socket:
                    assert orjson.loads(await socket.recv())["type"] == "hello" and status is None
            except websockets.InvalidStatus as refused:
                assert refused.response.status_code == status


async def _say(socket: Any, **message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def test_what_is_open_ends_with_its_token(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with guarded(issuer, tmp_path) as running:
        (oidc,) = (each for each in running.context.authenticators if isinstance(each, OidcAuthentication))
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        address = running.url.replace("http", "ws") + f"{API}/stream?format=json"
        async with websockets.connect(address, additional_headers=headers) as socket:
            await socket.recv()
            await _say(socket, type="subscribe", maxHz=60)
            assert orjson.loads(await socket.recv())["type"] == "table"
            monkeypatch.setattr(oidc, "_clock", lambda: time.time() + 60 + LEEWAY_S)
            async with client(running) as http:
                key = {"X-API-Key": running.keys.create("gateway", [Scope.TELEMETRY_WRITE])[1]}
                sent = await http.post(f"{API}/telemetry", json=document("conveyor", "speed", 1.5), headers=key)
                assert sent.status_code == 202
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    said = orjson.loads(await socket.recv())
            assert said["problem"]["detail"] == "the token has expired"
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_with_an_issuer_the_service_may_be_reached_by_others(issuer: Issuer, tmp_path: Path) -> None:
    data, plant = tmp_path / "data", write_plant(tmp_path)
    options = ["--oidc-issuer", issuer.url, "--oidc-audience", AUDIENCE]
    for group, role in ROLES.items():
        options += ["--oidc-role", f"{group}={role}"]
    with process(data, "-c", str(plant), "--listen", "0.0.0.0:0", *options) as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}{API}/nodes").status_code == 401
        with IoTSense(issuer.token("robot-7"), url) as iot:
            assert [twin["id"] for twin in iot.twins()] == ["line_1"]
            with pytest.raises(ForbiddenError, match="robot-7 lacks the scope"):
                iot.reports.report("failure", "conveyor")
        with IoTSense(issuer.token("berta"), url) as iot:
            iot.reports.report("failure", "conveyor")
        assert f"whoever has a token of {issuer.url} for iotsense may pass" in running.log
        listed = run_cli("audit", "list", "--json", "--data", str(data), cwd=tmp_path)
        assert "berta@plant.example" in listed.stdout, "who asked is in the audit log"


def test_the_environment_names_an_issuer(issuer: Issuer, tmp_path: Path) -> None:
    environment = {
        "IOTSENSE_OIDC_ISSUER": issuer.url,
        "IOTSENSE_OIDC_AUDIENCE": AUDIENCE,
        "IOTSENSE_OIDC_GROUPS_CLAIM": "realm_access.roles",
        "IOTSENSE_OIDC_ROLES": "Plant Operators=operator; plant-guests=viewer",
    }
    with process(tmp_path / "data", environment=environment) as running:
        headers = {"Authorization": f"Bearer {issuer.token('dora')}"}
        assert httpx.get(f"{running.url}{API}/session", headers=headers).json()["name"] == "dora"


# Words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--oidc-issuer https://id.example", "takes --oidc-audience NAME"),
        ("--oidc-issuer https://id.example --oidc-audience iotsense", "at least one --oidc-role"),
        ("--oidc-audience iotsense", "need an --oidc-issuer"),
        ("--oidc-role a=king", "'a=king' is not GROUP=ROLE; the roles are viewer, operator, engineer, admin"),
        ("--oidc-issuer http://id.example --oidc-audience iotsense --oidc-role a=admin", "must be https"),
        ("--oidc-issuer id.example --oidc-audience iotsense --oidc-role a=admin", "is no URL such as"),
    ],
)
def test_wrong_options(tmp_path: Path, options: str, words: str) -> None:
    done = run_cli("run", *options.split(), cwd=tmp_path)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_what_cannot_be_an_issuer() -> None:
    for issuer in (
        "http://id.example",
        "https://",
        "ftp://id.example",
        "https://a:b@id.example",
        "https://x:y",
        "https://[",
        "",
    ):
        with pytest.raises(InvalidValueError):
            OidcConfig(issuer, AUDIENCE, ROLES)
    for issuer in ("https://id.example?x=1", "https://id.example#x"):
        with pytest.raises(InvalidValueError, match="neither query nor fragment"):
            OidcConfig(issuer, AUDIENCE, ROLES)
    for issuer in ("https://id.example/realms/plant", "http://localhost:9", "http://127.0.0.2", "http://[::1]:9"):
        OidcConfig(issuer, AUDIENCE, ROLES)
    for wrong in ({"audience": ""}, {"roles": {}}, {"groups_claim": ""}):
        with pytest.raises(InvalidValueError):
            OidcConfig(**{"issuer": "https://id.example", "audience": AUDIENCE, "roles": ROLES, **wrong})
    assert parse_group_role("cn=ops,o=plant=operator") == ("cn=ops,o=plant", Role.OPERATOR)
    for text in ("", "a", "=viewer", "a="):
        with pytest.raises(InvalidValueError):
            parse_group_role(text)


# The page


def test_the_commands_of_the_page(issuer: Issuer, tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "access.md").read_text("utf-8")
    blocks = page.partition("## Tokens of OpenID Connect")[2].partition("## TLS")[0].split("```sh\n")
    words = shlex.split(blocks[1].partition("```")[0].replace("\\\n", " "))
    options = words[words.index("run") + 1 :]
    address = options[options.index("--oidc-issuer") + 1]
    assert address in blocks[2], "the token comes from the same issuer"
    with process(tmp_path / "data", *(issuer.url if word == address else word for word in options)) as running:
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        who = httpx.get(f"{running.url}{API}/session", headers=headers).json()
    assert (who["name"], who["scopes"]) == ("anna@plant.example", sorted(Role.OPERATOR.scopes))
