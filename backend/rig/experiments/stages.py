"""People who go on logging in while something breaks, what was begun before it, and what is judged afterwards.

It must not know what is broken.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from fakegateways.handle import FakeGateways
from rig.crowds import Crowd
from rig.experiments.outcomes import Round
from rig.ground import REFRESH, REQUEST, VERIFY, by_twilio, log_in, new_phone, one, shot, wrong_codes
from rig.service import DATABASE_SERVER, RunningService
from rig.together import Answered, race

LOGOUT: Final = "/api/auth/logout/"
WELL_AGAIN_SECONDS: Final = 10.0
# What is promised is 5 s, 10 s for a send; the rest is what busy cores need.
LONGEST_CALL_SECONDS: Final = 5.6
COME_BACK: Final = (503, "service_unavailable")
_RACERS: Final = 12
_TRIES: Final = 5

Fault = Callable[[], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A running service and its one gateway."""

    service: RunningService
    fake: FakeGateways


@contextlib.contextmanager
def stage(
    database_server: str = DATABASE_SERVER, *, before: tuple[str, ...] = (), environ: Mapping[str, str] | None = None
) -> Iterator[Stage]:
    """Start a service whose limits on addresses and on everybody together are out of the way."""
    with FakeGateways() as fake:
        chosen = by_twilio(fake, OTP_GLOBAL_MAX_PER_MINUTE="0", DATABASE_POOL_MAX="6", **(environ or {}))
        chosen |= {
            "OTP_RESEND_COOLDOWN_SECONDS": "300",
            "PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW": "1000",
            "OTP_GLOBAL_MAX_FAILURES_PER_MINUTE": "100000",
        }
        with RunningService(environ=chosen, database_server=database_server, before=before) as service:
            yield Stage(service=service, fake=fake)


@dataclass
class Before:
    """What was used up, opened and ended before the fault, and must stay so."""

    on: Stage
    spent: str = ""
    right_code: str = ""
    live: str = ""
    ended: str = ""
    challenge: str = ""

    def prepare(self) -> "Before":
        """Use up a number's tries, open a session, end another."""
        self.spent = new_phone()
        asked = one(self.on.service, shot(REQUEST, {"phone_number": self.spent}))
        self.challenge = str(asked.body["challenge_id"])
        self.right_code = self.on.fake.wait_for_message(self.spent).code
        for typed in wrong_codes(self.right_code, _TRIES):
            one(self.on.service, shot(VERIFY, {"phone_number": self.spent, "otp": typed}))
        self.live = str(log_in(self.on.service, self.on.fake, new_phone())["refresh"])
        other = log_in(self.on.service, self.on.fake, new_phone())
        self.ended = str(other["refresh"])
        one(self.on.service, shot(LOGOUT, {}, Authorization=f"Bearer {other['access']}"))
        return self

    def revived(self) -> list[str]:
        """Return what came to life again."""
        found = []
        if one(self.on.service, shot(REQUEST, {"phone_number": self.spent})).status == 200:
            found.append("a number in its cooldown got a message")
        if one(self.on.service, shot(VERIFY, {"phone_number": self.spent, "otp": self.right_code})).status == 200:
            found.append("a lane whose tries were used up compared once more")
        if one(self.on.service, shot(REFRESH, {"refresh": self.ended})).status == 200:
            found.append("a session that was ended was refreshed")
        return found

    def refreshes(self) -> tuple[int, int]:
        """Race refreshes of the live token; return how many were answered and how many children there are."""
        answers = race(self.on.service.url, [shot(REFRESH, {"refresh": self.live}) for _ in range(_RACERS)])
        children = {answer.body["refresh"] for answer in answers if answer.status == 200}
        return sum(answer.status == 200 for answer in answers), len(children)


@dataclass
class Probe:
    """Races of one number: sends, wrong codes, the right one. What is `broken` is a sentence each."""

    answers: list[Answered] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    owed: list[str] = field(default_factory=list)  # numbers that were told to come back and got nothing

    def run(self, on: Stage) -> "Probe":
        """Race the sends, and where one came through, the tries; with another number the right code."""
        sent = self._sends(on, phone := new_phone())
        if sent:
            self._guesses(on, phone, sent)
        if sent := self._sends(on, phone := new_phone(), quiet=True):
            self._right_code(on, phone, sent)
        return self

    def come_back(self, on: Stage) -> None:
        """Ask again for those who were told to: what failed must have consumed nothing."""
        for phone in self.owed:
            answer = one(on.service, shot(REQUEST, {"phone_number": phone}))
            if answer.status != 200:
                self.broken.append(f"who was told to come back is answered {answer.status} {answer.code}")
            else:
                self.limits.append("who was told to come back gets the message afterwards")

    def _race(self, on: Stage, path: str, bodies: list[dict[str, str]]) -> Counter[tuple[int, str]]:
        answers = race(on.service.url, [shot(path, body) for body in bodies])
        self.answers += answers
        return Counter((answer.status, answer.code) for answer in answers)

    def _sends(self, on: Stage, phone: str, *, quiet: bool = False) -> str:
        found = self._race(on, REQUEST, [{"phone_number": phone}] * _RACERS)
        messages = on.fake.messages(phone=phone)
        if not messages and found[COME_BACK]:
            self.owed.append(phone)
        if not quiet:
            self.limits.append(f"{len(messages)} message of 1 for {_RACERS} requests ({_surplus(found)})")
        if len(messages) > 1 or found[(200, "")] > 1:
            self.broken.append(f"{_RACERS} requests of one number made {len(messages)} messages")
        return messages[0].code if messages else ""

    def _guesses(self, on: Stage, phone: str, code: str) -> None:
        bodies = [{"phone_number": phone, "otp": typed} for typed in wrong_codes(code, _RACERS)]
        found = self._race(on, VERIFY, bodies)
        compared = found[(400, "invalid_otp")]
        self.limits.append(f"{compared} of {_TRIES} wrong codes compared ({_surplus(found)})")
        if compared > _TRIES:
            self.broken.append(f"{compared} wrong codes were compared")

    def _right_code(self, on: Stage, phone: str, code: str) -> None:
        found = self._race(on, VERIFY, [{"phone_number": phone, "otp": code}] * _RACERS)
        self.limits.append(f"{found[(200, '')]} of 1 session for {_RACERS} right codes ({_surplus(found)})")
        if found[(200, "")] > 1:
            self.broken.append(f"one code opened {found[(200, '')]} sessions")


def _surplus(found: Counter[tuple[int, str]]) -> str:
    busy = sum(count for (status, _), count in found.items() if status in (0, 503))
    return f"{busy} told to come back" if busy else "none told to come back"


def live_through(
    on: Stage, label: str, fault: Fault, *, calm: float = 4.0, during: float = 8.0, after: float = 2.0,
    people: int = 4, may_break: bool = False, may_meet: frozenset[str] = frozenset(),
) -> Round:  # fmt: skip
    """Let people log in, break something, race the limits meanwhile, heal it, and judge.

    `may_break`: connections may be refused or cut, as a host out of sockets does. `may_meet`: codes of refusals that
    people may meet.
    """
    before, probe, found = Before(on).prepare(), Probe(), Round(label=label)
    rows = rows_of(on)
    with Crowd(on.service, on.fake, people=people) as crowd:
        time.sleep(calm)
        began = time.monotonic()
        with fault():
            time.sleep(0.5)
            probe.run(on)
            answered, children = before.refreshes()
            probe.limits.append(f"{children} child of 1 for {answered} answered refreshes of {_RACERS}")
            if children > 1:
                found.broken.append(f"one refresh token had {children} children")
            time.sleep(max(0.0, began + during - time.monotonic()))
            ended = time.monotonic()
        healed = time.monotonic()
        found.recovery = well_again(on, found, since=healed)
        probe.come_back(on)
        time.sleep(after)
    found.calm_median, found.calm_p99 = crowd.usual(until=began), crowd.usual(share=0.99, until=began)
    found.median = crowd.usual(since=began, until=ended)
    found.p99 = crowd.usual(share=0.99, since=began, until=ended)
    found.limits, found.broken = probe.limits, found.broken + probe.broken + before.revived()
    _judge_calls(found, crowd, probe, may_break=may_break, may_meet=may_meet)
    judge_kept(on, found, crowd, since=rows)
    judge_rows(on, found)
    return found


def well_again(on: Stage, found: Round, *, since: float) -> float | None:
    """Log somebody in until it works; return the seconds since `since`, None for too late."""
    while time.monotonic() - since < WELL_AGAIN_SECONDS:
        phone = new_phone()
        answer = one(on.service, shot(REQUEST, {"phone_number": phone}))
        if answer.status == 200:
            with contextlib.suppress(TimeoutError):
                code = on.fake.wait_for_message(phone, seconds=2).code
                answer = one(on.service, shot(VERIFY, {"phone_number": phone, "otp": code}))
                if answer.status == 200:
                    return time.monotonic() - since
        if answer.status not in (0, 200, 503):
            found.broken.append(f"while it came back a login was answered {answer.status} {answer.code}")
        time.sleep(0.1)
    found.broken.append(f"nobody could log in {WELL_AGAIN_SECONDS:g} s after the fault ended")
    return None


def _judge_calls(found: Round, crowd: Crowd, probe: Probe, *, may_break: bool, may_meet: frozenset[str]) -> None:
    found.calls, found.slowest = len(crowd.calls), crowd.slowest()
    failed = Counter({(status, code): 0 for _, status, code in crowd.errors()})
    for (_, status, code), count in crowd.errors().items():
        failed[(status, code)] += count
    found.failures = {f"{status} {code}".strip(): count for (status, code), count in sorted(failed.items())}
    for status, code in [*failed, *((answer.status, answer.code) for answer in probe.answers)]:
        if status >= 500 and (status, code) != COME_BACK:
            found.broken.append(f"a call was answered {status} {code}")
        elif status == 0 and not may_break:
            found.broken.append(f"a connection broke ({code or 'no answer'})")
    if unexpected := {key for key in failed if 0 < key[0] < 500 and key[1] not in may_meet}:
        found.broken.append(f"the crowd met {sorted(unexpected)}")
    if found.slowest > LONGEST_CALL_SECONDS and not may_break:
        found.broken.append(f"a call took {found.slowest:.1f} s")
    found.broken = sorted(set(found.broken))


def rows_of(on: Stage) -> dict[str, int]:
    """Count what answers of 200 leave behind, by the path's last part."""
    tables = {"request": "accounts_challenge", "verify": "accounts_session"}
    return {path: int(on.service.query(f"SELECT count(*) FROM {table}")[0][0]) for path, table in tables.items()}


def judge_kept(on: Stage, found: Round, crowd: Crowd, *, since: dict[str, int]) -> None:
    """See that every challenge and session that somebody was told of is there."""
    for path, count in rows_of(on).items():
        told, kept = crowd.statuses()[(path, 200, "")], count - since[path]
        if told > kept:
            found.broken.append(f"{told} answers of 200 to {path}, and {kept} rows")


def judge_rows(on: Stage, found: Round) -> None:
    """Compare what the gateway got with the database: a row for each message, one session a code, one audit record."""
    messages = [message for message in on.fake.messages() if message.code]  # notices carry none
    per_phone = Counter(message.to for message in messages)
    accepted = on.service.query("SELECT count(*) FROM accounts_challenge")[0][0]
    found.messages_per_request = round(len(messages) / accepted, 3) if accepted else None
    rows = {phone for (phone,) in on.service.query("SELECT phone FROM accounts_message")}
    if strays := set(per_phone) - rows:
        found.broken.append(f"{len(strays)} messages without a row")
    if doubled := sum(count > 1 for count in per_phone.values()):
        found.broken.append(f"{doubled} numbers got more than one message")
    if found.messages_per_request and found.messages_per_request > 1:
        found.broken.append("more messages than challenges")
    twice = on.service.query(
        "SELECT count(*) FROM (SELECT 1 FROM accounts_session GROUP BY user_id HAVING count(*) > 1) x"
    )
    if twice[0][0]:
        found.broken.append(f"{twice[0][0]} codes opened two sessions")
    sessions = on.service.query("SELECT count(*) FROM accounts_session")[0][0]
    records = on.service.query("SELECT count(*) FROM accounts_auditevent WHERE event = 'login.succeeded'")[0][0]
    if sessions != records:
        found.broken.append(f"{sessions} sessions, {records} audit records of them")
    _judge_deliveries(on, found)


def _judge_deliveries(on: Stage, found: Round) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(psycopg.Error):
            sql = "SELECT count(*) FROM accounts_message WHERE state = 'sending'"
            if not on.service.query(sql)[0][0]:
                return
        time.sleep(0.5)
    found.broken.append("a message stayed without a final state")


def as_round(label: str, checks: dict[str, Any]) -> Round:
    """Return a round of single checks: a sentence each, and whether it held."""
    kept = [sentence for sentence, held in checks.items() if held]
    return Round(
        label=label, limits=kept, broken=[f"not so: {sentence}" for sentence, held in checks.items() if not held]
    )
