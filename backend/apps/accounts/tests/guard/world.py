"""A world of people and attackers for the guard: real services, a recording gateway, time that the test moves.

Everything in it comes from one seed. It must not know the guard's rules.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import phonenumbers

from apps.accounts import phones
from apps.accounts.errors import AccountsError
from apps.accounts.models import GuardHour
from apps.accounts.services import statements
from apps.accounts.services.model import Ask, Asker
from conftest import Rooms

# Ranges whose every number is a valid mobile one.
HOME, NEIGHBOUR = "+96650", "+97150"
SIERRA_LEONE, AZERBAIJAN, UZBEKISTAN = "+23276", "+99450", "+99890"
_DIGITS = {HOME: 7, NEIGHBOUR: 7, SIERRA_LEONE: 6, AZERBAIJAN: 7, UZBEKISTAN: 7}
SEED = 20_270_131


@dataclass
class Tally:
    """What one side got."""

    asked: int = 0
    sent: int = 0
    verified: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Event:
    """Somebody asks at `at` seconds; who verifies does so `verifies_after` seconds later."""

    at: float
    who: str
    phone: str
    ip: str
    verifies_after: float | None = None


class World:
    """Plays events against the services, judging every `judge_every` seconds of the world's time."""

    def __init__(self, rooms: Rooms, *, judge_every: float = 2.0) -> None:
        self.rooms = rooms
        self.chance = random.Random(SEED)
        self.tallies: dict[str, Tally] = {}
        self._judge_every = judge_every
        self._judged_at = 0.0
        self._now = 0.0
        self._began = self._time()

    def play(self, events: list[Event]) -> dict[str, Tally]:
        """Play all events in order of time and return what became of each side."""
        waiting = [(event.at, 0, event) for event in events]
        due = sorted(waiting, key=lambda item: item[:2])
        proofs: list[tuple[float, Event, str]] = []
        while due or proofs:
            if proofs and (not due or min(proofs)[0] <= due[0][0]):
                at, event, code = min(proofs)
                proofs.remove((at, event, code))
                self._advance(at)
                self._verify(event, code)
            else:
                at, _, event = due.pop(0)
                self._advance(at)
                code = self._ask(event)
                if code and event.verifies_after is not None:
                    proofs.append((at + event.verifies_after, event, code))
        return self.tallies

    def _advance(self, at: float) -> None:
        while self._judged_at + self._judge_every <= at:
            self._move_to(self._judged_at + self._judge_every)
            self._judged_at = self._now
            self.rooms.services.guard_judge.judge()
            # Half a second later every process has heard of it.
            self.rooms.services.guard.forget()
        self._move_to(at)

    def _move_to(self, at: float) -> None:
        """Let it be `at` seconds after the beginning: what the machine took of them to play events is part of them."""
        self._now = max(at, self._now)
        self.rooms.clock.advance(seconds=max(0.0, self._began + self._now - self._time()))

    def _time(self) -> float:
        return time.monotonic() + self.rooms.clock.offset_seconds

    def _ask(self, event: Event) -> str:
        tally = self.tallies.setdefault(event.who, Tally())
        tally.asked += 1
        gateway = self.rooms.gateway
        before = len(gateway.orders)
        try:
            self.rooms.services.otp.request(phones.parse(event.phone), Ask(asker=Asker(ip=event.ip)))
        except AccountsError as error:
            tally.refused[error.code] += 1
        tally.sent += len(gateway.orders) - before
        return gateway.last_code if len(gateway.orders) > before else ""

    def _verify(self, event: Event, code: str) -> None:
        otp = self.rooms.services.otp
        asker = Asker(ip=event.ip)
        phone = phones.parse(event.phone)
        assert otp.verify(code, asker=asker, phone=phone, then=lambda proven: proven.phone) == event.phone
        self.tallies[event.who].verified += 1


def people(
    chance: random.Random, *, until: float, every: float, prefix: str = HOME, who: str = "people", verified: float = 0.9
) -> Iterator[Event]:
    """Yield people who ask every `every` seconds on average, each from their own address, most of whom verify."""
    at = chance.expovariate(1 / every)
    seen: set[str] = set()
    while at < until:
        number = valid(prefix, chance.randrange(10 ** _DIGITS[prefix]))
        if number and number not in seen:
            seen.add(number)
            ip = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
            after = min(240.0, chance.lognormvariate(3.0, 0.7)) if chance.random() < verified else None
            yield Event(at, who, number, ip, after)
            at += chance.expovariate(1 / every)


def sweep(
    chance: random.Random,
    *,
    prefix: str,
    start: float,
    count: int,
    every: float,
    who: str = "attack",
    first: int = 1000,
) -> Iterator[Event]:
    """Yield an attacker who goes through adjacent numbers from hundreds of addresses."""
    addresses = [f"172.{16 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(600)]
    number, at = first, start
    for _ in range(count):
        while not (phone := valid(prefix, number)):
            number += 1
        number += 1
        yield Event(at, who, phone, chance.choice(addresses))
        at += every


def valid(prefix: str, number: int) -> str:
    """Return the number in E.164, or nothing where libphonenumber does not take it."""
    text = f"{prefix}{number:0{_DIGITS[prefix]}d}"
    return text if phonenumbers.is_valid_number(phonenumbers.parse(text, None)) else ""


def past(country: str, *, days: int, an_hour: int, verified: float = 0.9, now: datetime | None = None) -> None:
    """Write the hours of a past in which people of `country` logged in all day long."""
    now = now or statements.now()
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    rows = []
    for back in range(days * 24):
        at = hour - timedelta(hours=back)
        rows.append(
            GuardHour(
                country=country,
                hour=at,
                codes=an_hour,
                verified=round(an_hour * verified),
                messages=an_hour,
                final=True,
            )
        )
        if not GuardHour.objects.filter(country="", hour=at).exists():
            rows.append(GuardHour(country="", hour=at, final=True))
    GuardHour.objects.bulk_create(rows)
