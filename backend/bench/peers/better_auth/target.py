"""Installs, starts and speaks to better-auth. It must not know what its calls cost.

It has sessions by cookie and no refresh: a session lives on while it is used.
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from bench.calls import Caller, CallFault, Session, coming_from
from bench.client import Reply
from bench.peers import installing
from bench.peers.peer import Peer, Site
from bench.people import Person
from bench.phases import Stop
from bench.targets import Paths, Running, StartFault, new_port, serve

SOURCE = Path(__file__).resolve().parent
PINS = (SOURCE / "package.json", SOURCE / "package-lock.json")
OLDEST_NODE = 20
PATHS = Paths(
    request="/api/auth/phone-number/send-otp",
    verify="/api/auth/phone-number/verify",
    refresh=None,
    status="/api/auth/get-session",
    ready="/api/auth/ok",
)
_COOKIE = re.compile(rb"\r\nset-cookie: *(better-auth\.session_token=[^;\r]+)", re.I)


class BetterAuthCaller(Caller):
    """A client device that speaks better-auth's bodies and keeps its session cookie."""

    async def request(self, person: Person) -> Reply:
        """Ask for a code.

        Raises CallFault when the answer is not 200.
        """
        body = b'{"phoneNumber":"%b"}' % person.phone.encode()
        return await self._call("request", "POST", self._paths.request, body=body, headers=coming_from(person))

    async def verify(self, person: Person, *, code: str, expect: int = 200) -> Reply:
        """Prove a code.

        Raises CallFault when the answer has another status than expected.
        """
        body = b'{"phoneNumber":"%b","code":"%b"}' % (person.phone.encode(), code.encode())
        return await self._call(
            "verify", "POST", self._paths.verify, body=body, headers=coming_from(person), expect=expect
        )

    async def status(self, session: Session) -> Reply:
        """Ask who has the cookie.

        Raises CallFault when the answer is not 200, and when it is one for a stranger, which is 200, too.
        """
        headers = (("Cookie", session.access),)
        reply = await self._call("status", "GET", self._paths.status, headers=headers)
        if not reply.body.startswith(b'{"session":{'):
            raise CallFault("status: 200 without a session")
        return reply

    def session_in(self, reply: Reply) -> Session:
        """Return the cookie of a new session.

        Raises CallFault when the answer has no session of a user.
        """
        found, cookie = json.loads(reply.body), _COOKIE.search(reply.head)
        if not isinstance(found, dict) or not found.get("token") or not found.get("user") or cookie is None:
            raise CallFault("an answer without a session")
        return Session(access=cookie.group(1).decode(), refresh="")


class BetterAuth(Peer):
    """The target."""

    name = "better-auth"
    device = BetterAuthCaller
    # Its first thousands of logins cost half as much again or more, until the engine has compiled what is hot.
    warm_up = Stop(seconds=30.0, units=4000)

    def install(self, say: Callable[[str], None]) -> str:
        """Install the pinned packages by npm unless they are there, and return in one line what is measured.

        Raises StartFault without Node or npm, and when npm fails.
        """
        node, npm = (installing.program(name, wanted_by=self.name) for name in ("node", "npm"))
        version = installing.run([node, "--version"], cwd=SOURCE).strip()
        if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
            raise StartFault(f"{self.name} needs Node {OLDEST_NODE} or newer, and `node` is {version}")
        stamp = installing.stamp_of(PINS, also=version)
        if not installing.is_installed(self.home, stamp=stamp):
            say(f"installing {self.name} by npm, once")
            installing.copy_sources(PINS, into=self.home)
            # Nothing in it is to be built, so nobody's installation script is to run.
            installing.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=self.home)
            installing.set_stamp(self.home, stamp=stamp)
        pinned = json.loads(PINS[0].read_text())["dependencies"][self.name]
        return (
            f"{pinned} on Node {version.lstrip('v')}, phone-number plugin, users in PostgreSQL, codes, sessions and "
            "rate limits in Redis, a process per worker; it has no refresh"
        )

    def serve(self, site: Site) -> AbstractContextManager[Running]:
        """Create the tables and start the processes.

        Raises StartFault when either fails.
        """
        port = new_port()
        settings = environment(site, port=port)
        node = installing.program("node", wanted_by=self.name)
        installing.copy_sources(sorted(SOURCE.glob("*.mjs")), into=self.home)
        installing.run([node, str(self.home / "schema.mjs")], cwd=self.home, environment=settings)
        return serve(
            self.name,
            command=[node, str(self.home / "server.mjs")],
            environment=settings,
            port=port,
            paths=PATHS,
        )


def environment(site: Site, *, port: int) -> dict[str, str]:
    """Return what the server's files read; production is what switches its defaults to those of production."""
    return {
        "NODE_ENV": "production",
        "PORT": str(port),
        "WORKERS": str(site.sizing.workers),
        "POOL_MAX": str(site.sizing.pool_max),
        "DATABASE_URL": site.database_url,
        "REDIS_URL": site.redis_url,
        "GATEWAY_URL": site.gateway_url,
        "PEER_SECRET": site.keys["SECRET_KEY"],
    }
