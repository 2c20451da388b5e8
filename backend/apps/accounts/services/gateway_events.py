"""The line of events of gateways: what changed, when and why, for the dashboard. It must not decide anything."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import DatabaseError, InterfaceError

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.services import statements

LISTED_AT_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class GatewayEventView:
    """One change of one gateway; `channel` and `country` are empty where it is not theirs alone."""

    at: datetime
    provider: str
    channel: str
    country: str
    before: str
    after: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return it as the dashboard shows it."""
        return {
            "at": self.at.isoformat(),
            "provider": self.provider,
            "channel": self.channel,
            "country": self.country,
            "from": self.before,
            "to": self.after,
            "reason": self.reason,
        }


def record(
    provider: str, *, before: str, after: str, reason: str, clock: Clock, channel: str = "", country: str = ""
) -> None:
    """Write one event, inside the caller's transaction if there is one."""
    statements.run(
        "INSERT INTO accounts_gatewayevent (at, provider, channel, country, before, after, reason) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (statements.now() + clock.offset, provider, channel, country, before, after, reason[:64]),
    )
    telemetry.happened(
        "gateway_changed",
        provider=provider,
        channel=channel,
        country=country,
        before=before,
        after=after,
        reason=reason,
    )


def record_if_possible(
    provider: str, *, before: str, after: str, reason: str, clock: Clock, channel: str = "", country: str = ""
) -> None:
    """Write one event; a database that is gone loses the event, never the send that caused it."""
    try:
        record(provider, before=before, after=after, reason=reason, clock=clock, channel=channel, country=country)
    except (DatabaseError, InterfaceError) as error:
        telemetry.happened("gateway_event_lost", provider=provider, after=after, error=type(error).__name__)


def since(at: datetime, *, limit: int = LISTED_AT_MOST) -> list[GatewayEventView]:
    """Return the events after `at`, newest first and at most `limit`."""
    found = statements.rows(
        "SELECT at, provider, channel, country, before, after, reason FROM accounts_gatewayevent WHERE at > %s "
        "ORDER BY at DESC, id DESC LIMIT %s",
        (at, limit),
    )
    return [GatewayEventView(statements.as_time(item[0]), *item[1:]) for item in found]
