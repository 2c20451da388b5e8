"""Installs, starts and speaks to django-allauth's headless API. It must not know what its calls cost.

A login is its phone signup: the request makes the account, the code verifies its number. The session token that the
request gives is needed by the verify, and it has no refresh: a session lives on while it is used.
"""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.calls import Caller, CallFault, Session, coming_from
from bench.client import Reply
from bench.peers import installing
from bench.peers.peer import Peer, Site
from bench.people import Person
from bench.phases import Stop
from bench.targets import BACKEND, Paths, Running, granian_command, new_port, serve

PINS = Path(__file__).resolve().parent / "requirements.txt"
SITE = "bench.peers.allauth_headless.served"
_API = "/_allauth/app/v1/auth"
PATHS = Paths(
    request=f"{_API}/signup", verify=f"{_API}/phone/verify", refresh=None, status=f"{_API}/session", ready="/ready"
)
# "Not logged in yet": a signup whose number is still to be verified is answered so.
PENDING = 401


class AllauthCaller(Caller):
    """A client device that speaks the headless API for apps; one login at a time."""

    _token = ""

    async def request(self, person: Person) -> Reply:
        """Sign up with a number.

        Raises CallFault when the answer is not that the number is to be verified.
        """
        body = b'{"phone":"%b"}' % person.phone.encode()
        reply = await self._call(
            "request", "POST", self._paths.request, body=body, headers=coming_from(person), expect=PENDING
        )
        if b'"verify_phone"' not in reply.body:
            raise CallFault("request: 401 without a code to come")
        self._token = _token_in(json.loads(reply.body))
        return reply

    async def verify(self, person: Person, *, code: str, expect: int = 200) -> Reply:
        """Prove a code.

        Raises CallFault when the answer has another status than expected.
        """
        headers = (*coming_from(person), ("X-Session-Token", self._token))
        body = b'{"code":"%b"}' % code.encode()
        return await self._call("verify", "POST", self._paths.verify, body=body, headers=headers, expect=expect)

    async def status(self, session: Session) -> Reply:
        """Ask who has the session; a stranger is answered with 401.

        Raises CallFault when the answer is not 200.
        """
        headers = (("X-Session-Token", session.access),)
        return await self._call("status", "GET", self._paths.status, headers=headers)

    def session_in(self, reply: Reply) -> Session:
        """Return the token of a session that is logged in.

        Raises CallFault when the answer has none.
        """
        found = json.loads(reply.body)
        if not isinstance(found, dict) or not found.get("data", {}).get("user", {}).get("id"):
            raise CallFault("an answer without a user")
        return Session(access=_token_in(found), refresh="")


def _token_in(answer: dict[str, Any]) -> str:
    token = answer.get("meta", {}).get("session_token")
    if not isinstance(token, str):
        raise CallFault("an answer without a session")
    return token


class AllauthHeadless(Peer):
    """The target."""

    name = "allauth"
    device = AllauthCaller
    warm_up = Stop(seconds=10.0, units=400)

    @property
    def _python(self) -> str:
        return str(self.home / "bin" / "python")

    def install(self, say: Callable[[str], None]) -> str:
        """Install the pinned packages into an environment of their own unless they are there, and say what is measured.

        Raises StartFault when pip fails.
        """
        stamp = installing.stamp_of([PINS], also=sys.version)
        if not installing.is_installed(self.home, stamp=stamp):
            say(f"installing {self.name} by pip, once")
            self.home.parent.mkdir(parents=True, exist_ok=True)
            installing.run([sys.executable, "-m", "venv", "--clear", str(self.home)], cwd=BACKEND)
            installing.run(
                [self._python, "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", str(PINS)],
                cwd=BACKEND,
            )
            installing.set_stamp(self.home, stamp=stamp)
        pins = dict(line.split("==") for line in PINS.read_text().splitlines() if "==" in line)
        return (
            f"django-allauth {pins['django-allauth']} headless on Django {pins['Django']} and the floor's server, "
            "phone signup, users in PostgreSQL, sessions, codes and rate limits in Redis; it has no refresh"
        )

    def serve(self, site: Site) -> AbstractContextManager[Running]:
        """Create the tables and start the server.

        Raises StartFault when either fails.
        """
        port = new_port()
        settings = environment(site)
        migrate = [self._python, "-m", "django", "migrate", "--run-syncdb", "--no-input", "-v", "0"]
        installing.run(migrate, cwd=BACKEND, environment=settings)
        command = [self._python, *granian_command(f"{SITE}.wsgi:application", port=port, sizing=site.sizing)[1:]]
        return serve(self.name, command=command, environment=settings, port=port, paths=PATHS)


def environment(site: Site) -> dict[str, str]:
    """Return what the site's settings read."""
    return {
        "DJANGO_SETTINGS_MODULE": f"{SITE}.settings",
        "PYTHONPATH": str(BACKEND),
        "DATABASE_URL": site.database_url,
        "REDIS_URL": site.redis_url,
        "GATEWAY_URL": site.gateway_url,
        "PEER_SECRET": site.keys["SECRET_KEY"],
        "THREADS": str(site.sizing.threads),
        "POOL_MIN": str(site.sizing.pool_min),
        "POOL_MAX": str(site.sizing.pool_max),
    }
