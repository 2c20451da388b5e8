"""The calls of a phone login as a client makes them, for service and floor: same bodies, other paths.

It must not know rounds or processors; it keeps latencies and faults and nothing else.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter

from bench.client import Connection, ProtocolFault, Reply, connect, http_message
from bench.people import Person
from bench.targets import Paths

CALL_TIMEOUT = 15.0


class CallFault(Exception):
    """A call did not answer as it had to; the text names status and problem code only."""


@dataclass(slots=True)
class Ledger:
    """What one phase saw: seconds per call by name, seconds per login, faults by their short text."""

    calls: dict[str, list[float]] = field(default_factory=dict)
    logins: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def note(self, name: str, *, seconds: float) -> None:
        """Keep one call's latency."""
        self.calls.setdefault(name, []).append(seconds)

    @property
    def call_count(self) -> int:
        """Return how many calls were answered as they had to be."""
        return sum(len(samples) for samples in self.calls.values())


@dataclass(frozen=True, slots=True)
class Session:
    """The tokens of one login; `refresh` is empty where a session is not refreshed."""

    access: str
    refresh: str


class Caller:
    """One client device with one connection to one target."""

    def __init__(self, *, port: int, paths: Paths, code_for: Callable[[str], Awaitable[str]], ledger: Ledger) -> None:
        self._port = port
        self._paths = paths
        self._code_for = code_for
        self.ledger = ledger
        self._connection: Connection | None = None

    async def request(self, person: Person) -> Reply:
        """Ask for a code.

        Raises CallFault when the answer is not 200.
        """
        body = b'{"phone_number":"%b"}' % person.phone.encode()
        return await self._call("request", "POST", self._paths.request, body=body, headers=coming_from(person))

    async def verify(self, person: Person, *, code: str, expect: int = 200) -> Reply:
        """Prove a code.

        Raises CallFault when the answer has another status than expected.
        """
        body = b'{"phone_number":"%b","otp":"%b"}' % (person.phone.encode(), code.encode())
        return await self._call(
            "verify", "POST", self._paths.verify, body=body, headers=coming_from(person), expect=expect
        )

    async def login(self, person: Person) -> Session:
        """Log in completely: request, wait for the gateway's code, verify.

        Raises CallFault when a call fails, TimeoutError when no code comes.
        """
        begun = perf_counter()
        await self.request(person)
        code = await self._code_for(person.phone)
        reply = await self.verify(person, code=code)
        self.ledger.logins.append(perf_counter() - begun)
        return self.session_in(reply)

    async def refresh(self, session: Session) -> Session:
        """Rotate a session's tokens.

        Raises CallFault when the answer is not 200, or when the target has no such call.
        """
        if self._paths.refresh is None:
            raise CallFault("refresh: this target has none")
        body = b'{"refresh":"%b"}' % session.refresh.encode()
        return self.session_in(await self._call("refresh", "POST", self._paths.refresh, body=body))

    async def status(self, session: Session) -> Reply:
        """Ask who the bearer is.

        Raises CallFault when the answer is not 200.
        """
        headers = (("Authorization", f"Bearer {session.access}"),)
        return await self._call("status", "GET", self._paths.status, headers=headers)

    def session_in(self, reply: Reply) -> Session:
        """Return the tokens in an answer.

        Raises CallFault when there are none.
        """
        found = json.loads(reply.body)
        try:
            return Session(access=found["access"], refresh=found["refresh"])
        except (KeyError, TypeError):
            raise CallFault("an answer without tokens") from None

    async def _call(
        self,
        name: str,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        expect: int = 200,
    ) -> Reply:
        if self._connection is None or not self._connection.is_open:
            self._connection = await connect(self._port)
        message = http_message(method, path, body=body, headers=headers)
        reply = await self._connection.call(message, timeout=CALL_TIMEOUT)
        if reply.status != expect:
            raise CallFault(f"{name}: {reply.status} {problem_code(reply.body)}".rstrip())
        self.ledger.note(name, seconds=reply.seconds)
        return reply

    def reset(self) -> None:
        """Drop the connection, so that the next call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def coming_from(person: Person) -> tuple[tuple[str, str], ...]:
    """Return the headers by which a trusted proxy names a client's address."""
    return (("X-Forwarded-For", person.address),)


def problem_code(body: bytes) -> str:
    """Return a problem's `code`, empty when there is none; nothing else of a body is ever kept."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    code = found.get("code") if isinstance(found, dict) else None
    return code if isinstance(code, str) else ""


async def repeat(caller: Caller, *, until: Callable[[], bool], act: Callable[[], Awaitable[None]]) -> None:
    """Act again and again until told to stop; a fault is counted and costs the connection, not the run."""
    pause = 0.0
    while not until():
        try:
            await act()
            pause = 0.0
        except (CallFault, ProtocolFault, TimeoutError, OSError) as fault:
            caller.ledger.faults[str(fault) or type(fault).__name__] += 1
            caller.reset()
            # A target that refuses at once would otherwise be hammered for the whole phase.
            pause = min(1.0, pause * 2 or 0.02)
            await asyncio.sleep(pause)
