"""Clocks that jump and drift: one host's, two hosts', the database's.

It must not know how the service tells the time.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rig.databases import PrivatePostgres
from rig.experiments.false_clocks import FalseClock, clocks, library
from rig.experiments.outcomes import Outcome, Round
from rig.experiments.stages import COME_BACK, Stage, live_through, stage
from rig.ground import REFRESH, REQUEST, VERIFY, log_in, new_phone, one, shot, wrong_codes
from rig.service import RunningService
from rig.together import Answered

ME: Final = "/api/auth/status/"
HOUR: Final = 3600
DRIFT: Final = 30
_NOT_HERE: Final = "libfaketime is not installed (Debian: `apt-get install faketime`)"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Two groups of processes on one database and one Redis; `far` is the one whose clock is wrong."""

    near: Stage
    far: Stage


@contextlib.contextmanager
def two_hosts(near: FalseClock | None, far: FalseClock) -> Iterator[Hosts]:
    """Start both."""
    with stage(environ=near.environ if near else {}) as first:
        other = RunningService(environ={**first.service.environ, **far.environ})
        other.database_url = first.service.database_url
        try:
            other.start()
            yield Hosts(near=first, far=Stage(service=other, fake=first.fake))
        finally:
            other.stop()


def one_host_jumps() -> Outcome:
    """X33: the clock of one of two hosts jumps an hour ahead, and an hour behind."""
    outcome = Outcome(
        name="X33",
        title="the clock of one host jumps",
        done="Two groups of processes with one database; the clock of one (web and worker) jumps by +1 h and by -1 h, "
        "in mid-run, and back. People log in at the one that is wrong.",
        must="The database's clock decides: codes, cooldowns, tries, tokens and the refresh grace agree on both.",
    )
    if not library():
        outcome.not_run = _NOT_HERE
        return outcome
    with clocks() as folder:
        clock = FalseClock(folder)
        with two_hosts(None, clock) as hosts:
            for label, seconds in (("+1 h", HOUR), ("-1 h", -HOUR)):
                outcome.rounds.append(_jump(hosts, clock, label, seconds))
    return outcome


def _jump(hosts: Hosts, clock: FalseClock, label: str, seconds: int) -> Round:
    agreement = Agreement(hosts)

    @contextlib.contextmanager
    def jumped() -> Iterator[None]:
        agreement.begin()
        clock.set(seconds)
        agreement.check()
        yield
        clock.set(0)

    found = live_through(hosts.far, label, jumped, during=8)
    agreement.report(found)
    return found


def hosts_drift() -> Outcome:
    """X34: one host's clock is half a minute ahead, the other's half a minute behind."""
    outcome = Outcome(
        name="X34",
        title="the clocks of two hosts drift apart",
        done="Two groups of processes with one database, one 30 s ahead and one 30 s behind from the start.",
        must="As X33; the refresh grace is decided by the database's time.",
    )
    if not library():
        outcome.not_run = _NOT_HERE
        return outcome
    with clocks() as folder, two_hosts(FalseClock(folder, seconds=DRIFT), FalseClock(folder, seconds=-DRIFT)) as hosts:
        agreement = Agreement(hosts)

        @contextlib.contextmanager
        def drifted() -> Iterator[None]:
            agreement.begin()
            agreement.check()
            yield

        found = live_through(hosts.far, "30 s ahead and 30 s behind", drifted)
        agreement.report(found)
        outcome.rounds.append(found)
    return outcome


class Agreement:
    """Whether two hosts agree on what time it is for codes, limits and tokens."""

    def __init__(self, hosts: Hosts) -> None:
        self.near, self.far, self.fake = hosts.near.service, hosts.far.service, hosts.near.fake
        self.checks: dict[str, bool] = {}

    def begin(self) -> None:
        """Begin on both sides what is gone on with after the jump."""
        self.phone, self.code = self._asked(self.near)
        self.old_phone, self.old_code = self._asked(self.near)
        self.tried, right = self._asked(self.near)
        for typed in wrong_codes(right, 5):
            _post(self.near, VERIFY, phone_number=self.tried, otp=typed)
        self.tried_code = right
        self.session = log_in(self.near, self.fake, new_phone())
        self.aged = log_in(self.near, self.fake, new_phone())

    def check(self) -> None:
        """Go on at the other host."""
        found = self.checks
        found["a number in its cooldown here is in it there"] = (
            _post(self.far, REQUEST, phone_number=self.phone).code == "resend_cooldown"
        )
        found["a code sent here works there"] = (
            _post(self.far, VERIFY, phone_number=self.phone, otp=self.code).status == 200
        )
        self._age("UPDATE accounts_code SET expires_at = now() - interval '1 second' WHERE phone = %s", self.old_phone)
        found["a code that has expired for the database has expired there"] = (
            _post(self.far, VERIFY, phone_number=self.old_phone, otp=self.old_code).code == "invalid_otp"
        )
        found["tries used up here are used up there"] = (
            _post(self.far, VERIFY, phone_number=self.tried, otp=self.tried_code).code == "too_many_attempts"
        )
        self._tokens(found)

    def report(self, found: Round) -> None:
        """Write down what held and what did not."""
        found.notes += [sentence for sentence, held in self.checks.items() if held]
        found.broken += [f"not so: {sentence}" for sentence, held in self.checks.items() if not held]

    def _tokens(self, found: dict[str, bool]) -> None:
        there = log_in(self.far, self.fake, new_phone())
        found["an access token made here is good there"] = _me(self.far, self.session) == 200
        found["an access token made there is good here"] = _me(self.near, there) == 200
        first = _post(self.near, REFRESH, refresh=self.session["refresh"])
        again = _post(self.far, REFRESH, refresh=self.session["refresh"])
        found["a lost answer to a refresh here is given again there"] = (
            first.status == again.status == 200 and first.body["refresh"] == again.body["refresh"]
        )
        _post(self.near, REFRESH, refresh=self.aged["refresh"])
        self._age(
            "UPDATE accounts_session SET rotated_at = rotated_at - interval '61 minutes' WHERE id = %s",
            self.aged["session_id"],
        )
        found["a refresh token whose grace is over for the database is reused there"] = (
            _post(self.far, REFRESH, refresh=self.aged["refresh"]).code == "refresh_reused"
        )

    def _asked(self, service: RunningService) -> tuple[str, str]:
        phone = new_phone()
        _post(service, REQUEST, phone_number=phone)
        return phone, self.fake.wait_for_message(phone).code

    def _age(self, sql: str, whose: str) -> None:
        self.near.query(sql, whose)


def the_database_jumps() -> Outcome:
    """X35: PostgreSQL's own clock jumps an hour ahead and back, an hour behind and back."""
    outcome = Outcome(
        name="X35",
        title="the clock of the database jumps",
        done="PostgreSQL's clock jumps by +1 h in mid-run and back, then by -1 h and back.",
        must="Codes may expire early, never late by more than the jump; no jump back gives anybody a send, a try or a "
        "session.",
    )
    if not library():
        outcome.not_run = _NOT_HERE
        return outcome
    with clocks() as folder:
        clock = FalseClock(folder)
        with PrivatePostgres(environ=clock.environ) as database, stage(database.url) as on:
            for label, seconds in (("+1 h", HOUR), ("-1 h", -HOUR)):
                outcome.rounds.append(_database_jump(on, clock, label, seconds))
    return outcome


def _database_jump(on: Stage, clock: FalseClock, label: str, seconds: int) -> Round:
    checks: dict[str, bool] = {}

    @contextlib.contextmanager
    def jumped() -> Iterator[None]:
        before = _used_up(on) if seconds < 0 else None
        clock.set(seconds)
        if before:
            _judge_back(on, before, checks)
        ahead = _used_up(on) if seconds > 0 else None
        yield
        clock.set(0)
        if ahead:
            _judge_back(on, ahead, checks)

    found = live_through(on, label, jumped, may_meet=frozenset({"invalid_otp"}))
    found.notes += [sentence for sentence, held in checks.items() if held]
    found.broken += [f"not so: {sentence}" for sentence, held in checks.items() if not held]
    return found


def _used_up(on: Stage) -> dict[str, Any]:
    phone = new_phone()
    _post(on.service, REQUEST, phone_number=phone)
    code = on.fake.wait_for_message(phone).code
    for typed in wrong_codes(code, 5):
        _post(on.service, VERIFY, phone_number=phone, otp=typed)
    fresh = new_phone()
    _post(on.service, REQUEST, phone_number=fresh)
    session = log_in(on.service, on.fake, new_phone())
    rotated = _post(on.service, REFRESH, refresh=session["refresh"])
    return {
        "phone": phone, "code": code, "session": rotated.body, "fresh": fresh,
        "fresh_code": on.fake.wait_for_message(fresh).code,
    }  # fmt: skip


def _judge_back(on: Stage, before: dict[str, Any], checks: dict[str, bool]) -> None:
    asked = _post(on.service, REQUEST, phone_number=before["phone"])
    checks["after the jump back a number in its cooldown is in it"] = asked.status == 429
    tried = _post(on.service, VERIFY, phone_number=before["phone"], otp=before["code"])
    checks["after the jump back tries that were used up are used up"] = tried.status in (400, 429)
    # A token from the future is refused for as long as it is that; its session is not lost.
    checks["after the jump back an access token of before is good or refused as invalid"] = _me(
        on.service, before["session"]
    ) in (200, 401)
    refreshed = _post(on.service, REFRESH, refresh=before["session"]["refresh"])
    checks["after the jump back the session is refreshed, and that token is good"] = (
        refreshed.status == 200 and _me(on.service, refreshed.body) == 200
    )
    fresh = _post(on.service, VERIFY, phone_number=before["fresh"], otp=before["fresh_code"])
    checks["after the jump back a code sent before it works"] = fresh.status == 200


def _post(service: RunningService, path: str, **body: str) -> Answered:
    answer = one(service, shot(path, body))
    return one(service, shot(path, body)) if (answer.status, answer.code) == COME_BACK else answer


def _me(service: RunningService, tokens: dict[str, Any]) -> int:
    return one(service, shot(ME, method="GET", Authorization=f"Bearer {tokens['access']}")).status
