"""The verifiers in docs/verify-tokens, run as other people would: by the served public keys alone."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.services.keys import Keys
from apps.accounts.tests.services.session_world import make_world
from apps.accounts.tests.services.token_forgery import Forger

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = Path(__file__).resolve().parents[5] / "docs" / "verify-tokens"
NODE = shutil.which("node")
VERIFIERS = [
    pytest.param([sys.executable, str(PAGES / "verify.py")], id="python"),
    pytest.param(
        [str(NODE), str(PAGES / "verify.mjs")], id="node", marks=pytest.mark.skipif(not NODE, reason="no node here")
    ),
]


class Served:
    """A key document at an address, as the service serves it."""

    def __init__(self, keys: Keys) -> None:
        self.body = keys.document().body
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(served.body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/jwks.json"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def stage() -> Iterator[tuple[Forger, Served, Keys]]:
    world = make_world()
    opened = world.login()
    served = Served(world.keys)
    yield Forger(world.keys, access=opened.access, refresh=opened.refresh), served, world.keys
    served.server.shutdown()
    served.server.server_close()


def run(command: list[str], token: str, served: Served, issuer: str = "salon-api") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, served.url, issuer, "salon-app"],
        input=token,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", VERIFIERS)
def test_a_good_token_is_verified_by_the_public_keys_alone(
    command: list[str], stage: tuple[Forger, Served, Keys]
) -> None:
    forger, served, _ = stage
    done = run(command, forger.access, served)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == forger.claims


@pytest.mark.parametrize("command", VERIFIERS)
def test_a_token_of_the_key_that_was_rotated_in_is_verified_by_the_document_from_before(
    command: list[str], stage: tuple[Forger, Served, Keys]
) -> None:
    forger, served, keys = stage
    keys.rotate()
    later = Forger(keys, access=forger.access, refresh=forger.refresh)
    assert later.key.kid != forger.key.kid
    assert run(command, later.ours(), served).returncode == 0


@pytest.mark.parametrize("command", VERIFIERS)
def test_another_issuer_is_refused(command: list[str], stage: tuple[Forger, Served, Keys]) -> None:
    forger, served, _ = stage
    assert run(command, forger.access, served, issuer="somebody-else").returncode == 1


SHOWN = [
    "alg none", "signature cut off", "claims changed", "HS256 with the public key as PEM", "a stranger's key",
    "a kid that is a path", "a key of its own in jwk", "our key and crit", "our key, typ JWT",
    "our key, another audience", "our key, expired", "our key, issued in the future", "our key, no session",
    "a refresh token",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", VERIFIERS)
def test_forged_tokens_are_refused(command: list[str], stage: tuple[Forger, Served, Keys]) -> None:
    forger, served, _ = stage
    # Each is forged when it is shown: what is from the future must not become of the present meanwhile.
    shown = {name: run(command, forger.table()[name], served).returncode for name in SHOWN}
    assert shown == dict.fromkeys(SHOWN, 1)
