"""Whose login failed between two times: they asked for a code and did not get in. Numbers are masked where they show.

    refused_by_us   no gateway could be used, and the request was turned away
    not_sent        no gateway took a message
    wrong_codes     a code was tried, and was wrong
    not_proven      a code was delivered, and never typed
    not_delivered   a gateway took it, and no receipt says that it arrived
    in_later        as one of these, but the person got in after the incident

It must not know HTTP.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts.errors import InvalidRequest
from apps.accounts.phones import mask
from apps.accounts.services import statements
from apps.accounts.services.wiring import Services
from apps.ops import queries_affected
from apps.ops.moments import moment

SHOWN_AT_MOST: Final = 1000
LONGEST: Final = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Window:
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose login failed. `id` is the number's opaque id."""

    id: str
    phone: str = field(repr=False)
    first_request_at: datetime
    outcome: str
    language: str

    def as_json(self) -> dict[str, Any]:
        """Return the members of contract section 6."""
        return {
            "id": self.id,
            "phone_number": mask(self.phone),
            "first_request_at": self.first_request_at.isoformat(timespec="seconds"),
            "outcome": self.outcome,
        }


def window(since: str, until: str, *, services: Services) -> Window:
    """Return the time between `since` and `until`, as operators type them; until now where the latter is empty.

    Raises:
        InvalidRequest: one of them is no time, or they are the wrong way round or more than 31 days apart.
    """
    services.refusals.flush()
    now = statements.now() + services.clock.offset
    if not since:
        raise InvalidRequest(fields={"since": ["required"]})
    # The end is exclusive, and what happens at this very moment belongs to it.
    start, end = moment(since, now=now), moment(until, now=now) if until else now + timedelta(seconds=1)
    faults = {name: ["not_valid"] for name, value in (("since", start), ("until", end)) if value is None}
    if start is None or end is None:
        raise InvalidRequest(fields=faults)
    if not start < end or end - start > LONGEST:
        raise InvalidRequest(fields={"until": ["range"]})
    return Window(since=start, until=end)


def people(span: Window, *, services: Services) -> list[Person]:
    """Return everybody whose login failed in `span`, by their first request."""
    asked = queries_affected.asked(span.since, span.until)
    life = timedelta(seconds=services.config.expiry_seconds)
    found = []
    for item in asked:
        in_time = item.in_at is not None and (item.in_at < span.until or item.in_at <= item.first_at + life)
        if not in_time:
            found.append(_person(services, item.phone, item.first_at, _outcome(item), item.language))
    known = {item.phone for item in asked}
    for refused in queries_affected.refused(span.since, span.until):
        if refused.phone in known:
            continue
        in_at = queries_affected.first_login(refused.phone, refused.at)
        if in_at is None or in_at >= span.until:
            outcome = "refused_by_us" if in_at is None else "in_later"
            found.append(_person(services, refused.phone, refused.at, outcome, "en"))
    return sorted(found, key=lambda person: (person.first_request_at, person.id))


def _outcome(item: queries_affected.Asked) -> str:
    if item.in_at is not None:
        return "in_later"
    if item.wrong:
        return "wrong_codes"
    if not item.taken:
        return "not_sent"
    return "not_proven" if item.delivered else "not_delivered"


def _person(services: Services, phone: str, at: datetime, outcome: str, language: str) -> Person:
    return Person(
        id=services.number_ids.of(phone)[:16], phone=phone, first_request_at=at, outcome=outcome, language=language
    )
