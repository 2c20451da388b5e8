"""A message that a receipt called failed, with everything that decides whether the code is sent on.

It holds rows as they were read, and what they mean; it must not know gateways, nor write anything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.accounts.phones import Phone
from apps.accounts.providers.base import Channel, FailureKind
from apps.accounts.services import attempts, challenges, statements
from apps.accounts.services.challenges import Line
from apps.accounts.services.model import OpenCode, Purpose

UNDER_WAY: Final = ("accepted", "delivered")


@dataclass(frozen=True, slots=True)
class Try:
    """A message of the code: what was tried, and how that stands."""

    id: str
    provider: str
    channel: str
    state: str
    error_kind: str
    send_id: str
    follows: str
    created_at: datetime
    finished: bool  # our own call has returned


@dataclass(frozen=True, slots=True)
class Case:
    """The failed message and its code. `line` is there while the phone is locked; `patience` is in seconds."""

    message: Try
    phone: Phone
    code: OpenCode
    code_open: bool
    purpose: Purpose
    challenge_id: str
    challenge_status: str
    challenge_channel: str
    language: str
    ip: str
    device_id: str
    tries: tuple[Try, ...]
    now: datetime
    patience: float
    line: Line | None

    @property
    def mine(self) -> list[Try]:
        """Return what was sent in this message's stead."""
        return [one for one in self.tries if one.follows == self.message.id]

    @property
    def not_on_channel(self) -> bool:
        """Say whether the number is fine and only WhatsApp cannot reach it."""
        return self.message.error_kind == FailureKind.NOT_ON_CHANNEL

    @property
    def is_closed(self) -> bool:
        """Say whether no message may go out any more: the code is over, the number is bad, or a vendor said fraud."""
        if not self.code_open or self.challenge_status == "undeliverable":
            return True
        return any(one.error_kind in attempts.FRAUD for one in self.tries)

    @property
    def is_still_out(self) -> bool:
        """Say whether the receipt overtook our own send, which may go on by itself."""
        return not self.message.finished and self._is_young(self.message)

    @property
    def went_on_already(self) -> bool:
        """Say whether the code is on its way by another message of the same send, or by SMS where WhatsApp failed."""
        others = [one for one in self.tries if one.id != self.message.id and one.follows != self.message.id]
        if self.not_on_channel:
            return any(self.is_alive(one) for one in others if one.channel == Channel.SMS)
        return any(self.is_alive(one) for one in others if one.send_id == self.message.send_id)

    def is_alive(self, one: Try) -> bool:
        """Say whether a message may still arrive, as far as anybody knows for sure."""
        return one.state in UNDER_WAY or self.is_being_sent(one)

    def is_being_sent(self, one: Try) -> bool:
        """Say whether a gateway is being called with it, by a process that is not yet held to be dead."""
        return one.state == "sending" and self._is_young(one)

    def had(self, channel: Channel | None = None) -> set[str]:
        """Return the gateways that were called with this code, on any channel or on one."""
        return {
            one.provider
            for one in self.tries
            if one.error_kind != attempts.NEVER_CALLED and (channel is None or one.channel == channel)
        }

    def _is_young(self, one: Try) -> bool:
        return (self.now - one.created_at).total_seconds() <= self.patience


def read(message_id: str, *, lock: bool, offset: timedelta, patience: float) -> Case | None:
    """Read the case of a message that is to be sent on; with `lock` after everything else that sends to this phone.

    None when it is not to be sent on any more.
    """
    found = statements.row(
        "SELECT m.phone, c.device_token_id FROM accounts_message m JOIN accounts_challenge c "
        "ON c.id = m.challenge_id WHERE m.id = %s AND m.sent_on = 'due' AND m.code_id IS NOT NULL",
        (message_id,),
    )
    if found is None:
        return None
    phone, lane = found[0], f"device:{found[1]}" if found[1] else ""
    line = challenges.lock_line(phone, lane, offset=offset) if lock else None
    row = statements.row(
        "SELECT m.country, c.purpose, c.id, c.status, c.channel, c.language, c.ip, c.device_id, k.state, "
        "k.id, k.nonce, k.key_id, k.kind, k.created_at, k.expires_at, k.minted_by, k.own_code_sent, "
        f"{statements.now_sql()} FROM accounts_message m JOIN accounts_challenge c ON c.id = m.challenge_id "
        "JOIN accounts_code k ON k.id = m.code_id WHERE m.id = %s AND m.sent_on = 'due'",
        (message_id,),
    )
    if row is None:
        return None
    code = challenges.read_code(row[9:17])
    now = line.now if line else statements.as_time(row[17]) + offset
    tries = _tries(code.id)
    return Case(
        message=next(one for one in tries if one.id == message_id), phone=Phone(e164=phone, region=row[0]), code=code,
        code_open=row[8] == "open" and code.expires_at > now, purpose=Purpose(row[1]), challenge_id=row[2],
        challenge_status=row[3], challenge_channel=row[4], language=row[5], ip=row[6], device_id=row[7], tries=tries,
        now=now, patience=patience, line=line,
    )  # fmt: skip


def _tries(code_id: str) -> tuple[Try, ...]:
    found = statements.rows(
        "SELECT id, provider, channel, state, error_kind, send_id, follows, created_at, finished_at "
        "FROM accounts_message WHERE code_id = %s ORDER BY created_at",
        (code_id,),
    )
    return tuple(
        Try(
            id=item[0], provider=item[1], channel=item[2], state=item[3], error_kind=item[4], send_id=item[5],
            follows=item[6], created_at=statements.as_time(item[7]), finished=item[8] is not None,
        )
        for item in found
    )  # fmt: skip
