"""Another product is a target like the others: words of its own, the same stores, needed only when it is asked for."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.calls import CallFault, Ledger, Session
from bench.client import Reply
from bench.options import parse
from bench.peers import PEERS, installing, peer
from bench.peers.allauth_headless import target as allauth
from bench.peers.better_auth.target import PATHS, PINS, SOURCE, BetterAuth, BetterAuthCaller, environment
from bench.peers.peer import Site
from bench.people import person
from bench.targets import ROOT, StartFault

COOKIE = "better-auth.session_token=aToken.aSignature%3D"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: %b; Max-Age=604800; Path=/" % COOKIE.encode()
LOGGED_IN = b'{"status":true,"token":"aToken","user":{"id":"u1"}}'


class Product:
    """Answers as better-auth does, over a real socket, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"Content-Length: (\d+)", head)
                body = await reader.readexactly(int(length.group(1))) if length else b""
                self.asked.append((head, body.decode()))
                writer.write(self._answer(head.split(" ")[1], head))
        except asyncio.IncompleteReadError:
            writer.close()

    def _answer(self, path: str, head: str) -> bytes:
        if path == PATHS.request:
            return self._whole(b"HTTP/1.1 200 OK", b'{"message":"code sent"}')
        if path == PATHS.verify:
            return self._whole(HEAD, LOGGED_IN)
        known = COOKIE in head
        return self._whole(b"HTTP/1.1 200 OK", b'{"session":{"id":"s1"},"user":{}}' if known else b"null")

    @staticmethod
    def _whole(head: bytes, body: bytes) -> bytes:
        return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


async def code_for(phone: str) -> str:
    return "123456"


def fake_programs(folder: Path, *, version: str, npm: str) -> None:
    for name, script in (("node", f"echo {version}"), ("npm", npm)):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which nothing is but what a test puts there, and a home of its own for what is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(peer, "HOMES", tmp_path / "homes")
    return folder


def test_a_login_in_the_peers_words_gives_its_session() -> None:
    async def story() -> None:
        product = Product()
        server = await asyncio.start_server(product.serve, "127.0.0.1", 0)
        ledger = Ledger()
        port = server.sockets[0].getsockname()[1]
        caller = BetterAuthCaller(port=port, paths=PATHS, code_for=code_for, ledger=ledger)
        session = await caller.login(person(0))
        assert session == Session(access=COOKIE, refresh="")
        await caller.status(session)
        with pytest.raises(CallFault, match="without a session"):
            await caller.status(Session(access="better-auth.session_token=forged", refresh=""))
        caller.reset()
        server.close()
        assert json.loads(product.asked[0][1]) == {"phoneNumber": person(0).phone}
        assert json.loads(product.asked[1][1]) == {"phoneNumber": person(0).phone, "code": "123456"}
        assert all(f"X-Forwarded-For: {person(0).address}" in head for head, _ in product.asked[:2])
        assert len(ledger.logins) == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (HEAD, b"null"),
        (HEAD, b'{"status":true,"token":null,"user":{"id":"u1"}}'),
        (HEAD, b'{"status":true,"token":"aToken","user":null}'),
        (b"HTTP/1.1 200 OK", LOGGED_IN),
    ],
)
def test_an_answer_without_user_token_or_cookie_is_no_login(head: bytes, body: bytes) -> None:
    caller = BetterAuthCaller(port=1, paths=PATHS, code_for=code_for, ledger=Ledger())
    with pytest.raises(CallFault, match="without a session"):
        caller.session_in(Reply(status=200, body=body, seconds=0.1, head=head))


def test_a_target_without_refresh_says_so() -> None:
    caller = BetterAuthCaller(port=1, paths=PATHS, code_for=code_for, ledger=Ledger())
    with pytest.raises(CallFault, match="has none"):
        asyncio.run(caller.refresh(Session(access="x", refresh="")))


def test_a_peer_stands_on_the_stores_and_sizes_of_the_run() -> None:
    options = parse(["--workers", "3", "--pool-max", "7"])
    site = Site(
        database_url="postgres://db/x",
        redis_url="redis://cache/8",
        gateway_url="http://127.0.0.1:1/api/v2",
        sizing=options.sizing,
        keys={"SECRET_KEY": "a key of the run"},
    )
    found = environment(site, port=8123)
    assert found["NODE_ENV"] == "production"
    assert (found["WORKERS"], found["POOL_MAX"], found["PORT"]) == ("3", "7", "8123")
    assert (found["DATABASE_URL"], found["REDIS_URL"]) == ("postgres://db/x", "redis://cache/8")
    read = set(re.findall(r"env\.([A-Z_]+)", "".join(path.read_text() for path in SOURCE.glob("*.mjs"))))
    assert read <= set(found)


def test_every_package_is_pinned_and_no_address_is_in_the_lock() -> None:
    asked, lock = (json.loads(path.read_text()) for path in PINS)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked["dependencies"].values())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert lock["packages"][""]["dependencies"] == asked["dependencies"]
    assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())


@pytest.mark.parametrize("missing", ["node", "npm"])
def test_a_missing_program_is_named(missing: str, programs: Path) -> None:
    fake_programs(programs, version="v20.1.0", npm="exit 0")
    (programs / missing).unlink()
    with pytest.raises(StartFault, match=f"better-auth .* `{missing}`"):
        BetterAuth().install(lambda text: None)


def test_an_old_node_is_refused(programs: Path) -> None:
    fake_programs(programs, version="v18.20.0", npm="exit 0")
    with pytest.raises(StartFault, match="needs Node 20 or newer"):
        BetterAuth().install(lambda text: None)


def test_packages_are_installed_once_and_again_after_a_failure(programs: Path, tmp_path: Path) -> None:
    log = tmp_path / "asked"
    fake_programs(programs, version="v20.1.0", npm=f'echo no such host >&2; echo "$@" >> {log}; exit 1')
    with pytest.raises(StartFault, match="no such host"):
        BetterAuth().install(lambda text: None)
    fake_programs(programs, version="v20.1.0", npm=f'echo "$@" >> {log}')
    said = [BetterAuth().install(lambda text: None) for _ in range(2)]
    assert log.read_text().splitlines() == ["ci --ignore-scripts --no-audit --no-fund"] * 2
    assert said[0] == said[1]
    assert said[0].startswith(json.loads(PINS[0].read_text())["dependencies"]["better-auth"] + " on Node 20.1.0")
    assert (BetterAuth().home / "package-lock.json").read_bytes() == PINS[1].read_bytes()


def test_other_pins_or_another_node_are_another_installation(tmp_path: Path) -> None:
    pins = tmp_path / "pins"
    pins.write_text("a 1")
    stamp = installing.stamp_of([pins], also="v20")
    installing.set_stamp(tmp_path, stamp=stamp)
    assert installing.is_installed(tmp_path, stamp=installing.stamp_of([pins], also="v20"))
    assert not installing.is_installed(tmp_path, stamp=installing.stamp_of([pins], also="v22"))
    pins.write_text("a 2")
    assert not installing.is_installed(tmp_path, stamp=installing.stamp_of([pins], also="v20"))


def test_peers_run_beside_service_and_floor_when_asked_for_and_never_otherwise() -> None:
    assert parse([]).targets == ("floor", "service")
    assert parse(["--peer", "better-auth", "--peer", "better-auth"]).targets == ("floor", "service", "better-auth")
    assert parse(["--only", "better-auth"]).targets == ("better-auth",)
    for wrong in (["--peer", "nobody"], ["--only", "floor", "--peer", "better-auth"]):
        with pytest.raises(SystemExit):
            parse(wrong)


def test_every_peer_has_a_name_that_an_option_can_have() -> None:
    assert all(name == one.name and re.fullmatch(r"[a-z-]{1,12}", name) for name, one in PEERS.items())


class AllauthProduct(Product):
    """Answers as django-allauth's headless API does."""

    def _answer(self, path: str, head: str) -> bytes:
        if path == allauth.PATHS.request:
            body = b'{"data":{"flows":[{"id":"verify_phone","is_pending":true}]},"meta":{"session_token":"first"}}'
            return self._whole(b"HTTP/1.1 401 Unauthorized", body)
        if path == allauth.PATHS.verify and "X-Session-Token: first" in head:
            return self._whole(b"HTTP/1.1 200 OK", b'{"data":{"user":{"id":1}},"meta":{"session_token":"second"}}')
        known = "X-Session-Token: second" in head
        return self._whole(b"HTTP/1.1 200 OK" if known else b"HTTP/1.1 401 Unauthorized", b"{}")


def test_an_allauth_login_carries_the_signups_session_to_its_end() -> None:
    async def story() -> None:
        product = AllauthProduct()
        server = await asyncio.start_server(product.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        caller = allauth.AllauthCaller(port=port, paths=allauth.PATHS, code_for=code_for, ledger=Ledger())
        session = await caller.login(person(0))
        assert session == Session(access="second", refresh="")
        await caller.status(session)
        with pytest.raises(CallFault, match="status: 401"):
            await caller.status(Session(access="forged", refresh=""))
        caller.reset()
        server.close()
        assert json.loads(product.asked[0][1]) == {"phone": person(0).phone}
        assert json.loads(product.asked[1][1]) == {"code": "123456"}

    asyncio.run(story())


@pytest.mark.parametrize(
    "body", [b"[]", b'{"data":{"flows":[]},"meta":{"session_token":"x"}}', b'{"data":{"user":{"id":1}},"meta":{}}']
)
def test_an_allauth_answer_without_user_or_token_is_no_login(body: bytes) -> None:
    caller = allauth.AllauthCaller(port=1, paths=allauth.PATHS, code_for=code_for, ledger=Ledger())
    with pytest.raises(CallFault, match="an answer without"):
        caller.session_in(Reply(status=200, body=body, seconds=0.1))


def test_allauth_runs_on_the_versions_of_the_service_and_every_package_is_pinned() -> None:
    ours = pins(ROOT / "constraints.txt")
    theirs = pins(allauth.PINS)
    shared = {"django", "granian", "psycopg", "psycopg-pool", "redis", "hiredis", "requests"}
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}
    lines = [line for line in allauth.PINS.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == len(theirs)


def pins(path: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([\w.]+)$", path.read_text(), flags=re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_allauth_is_installed_into_an_environment_of_its_own_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "HOMES", tmp_path)
    steps: list[list[str]] = []

    def note(command: Sequence[str], *, cwd: Path) -> str:
        steps.append(list(command))
        (tmp_path / "allauth").mkdir(exist_ok=True)
        return ""

    monkeypatch.setattr(installing, "run", note)
    said = [allauth.AllauthHeadless().install(lambda text: None) for _ in range(2)]
    assert [step[1:3] for step in steps] == [["-m", "venv"], ["-m", "pip"]]
    assert steps[1][0].startswith(str(tmp_path))
    assert said[0] == said[1]
    assert said[0].startswith("django-allauth 65")


def test_the_settings_of_allauth_read_nothing_that_they_are_not_given() -> None:
    options = parse(["--pool-max", "7"])
    site = Site(
        database_url="postgres://db/x",
        redis_url="redis://cache/8",
        gateway_url="http://127.0.0.1:1/api/v2",
        sizing=options.sizing,
        keys={"SECRET_KEY": "a key of the run"},
    )
    found = allauth.environment(site)
    text = (allauth.PINS.parent / "served" / "settings.py").read_text()
    assert set(re.findall(r'environ\["([A-Z_]+)"\]', text)) <= set(found)
    assert found["POOL_MAX"] == "7"
