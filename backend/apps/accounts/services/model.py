"""The values that travel between the rooms of the services: who asks, what was opened, what a person is shown.

They hold data and arithmetic on it; no statement, no HTTP.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from apps.accounts.phones import Phone, mask
from apps.accounts.services.limits import Standing

# The way of a code that support read out, where others have a channel; the word for it in `amr`.
READ_OUT: Final = "manual"


class Purpose(StrEnum):
    LOGIN = "login"
    VERIFY_PHONE = "verify_phone"
    CHANGE_PHONE = "change_phone"
    STEP_UP = "step_up"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is calling, as far as the call tells."""

    ip: str
    device_id: str = ""
    device_name: str = ""
    device_token: str = ""
    user_agent: str = ""
    language: str = "en"
    proof: str = ""  # a proof service's token

    def __repr__(self) -> str:
        return "Asker(…)"


@dataclass(frozen=True, slots=True)
class Bound:
    """The account and session that a purpose other than login is bound to."""

    user_id: int
    session_id: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request or resend asks for, beyond the number."""

    asker: Asker
    purpose: Purpose = Purpose.LOGIN
    channel: str = ""  # empty: the challenge's own, else sms
    bound: Bound | None = None
    challenge_id: str = ""
    resend: bool = False
    only_gateway: str = ""  # the console of the development paths

    @property
    def scope(self) -> str:
        """Return what the code is bound to: a session, or nothing for a login."""
        return self.bound.session_id if self.bound else ""


@dataclass(frozen=True, slots=True)
class ChannelOffer:
    name: str
    available_in: int  # seconds


@dataclass(frozen=True, slots=True)
class ChallengeView:
    """A challenge as its asker may see it. Times in whole seconds."""

    id: str
    status: str
    purpose: str
    phone: str  # masked
    channel: str
    delivery: str
    expires_in: int
    resend_in: int
    attempts_left: int
    sends_left: int
    channels: tuple[ChannelOffer, ...]
    support_code: str

    def as_json(self) -> dict[str, Any]:
        """Return the object of contract section 1."""
        return {
            "id": self.id,
            "status": self.status,
            "purpose": self.purpose,
            "phone_number": self.phone,
            "channel": self.channel,
            "delivery": self.delivery,
            "code_length": 6,
            "expires_in": self.expires_in,
            "resend_in": self.resend_in,
            "attempts_left": self.attempts_left,
            "sends_left": self.sends_left,
            "channels": [{"name": offer.name, "available_in": offer.available_in} for offer in self.channels],
            "support_code": self.support_code,
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """What an admitted request or resend came to."""

    challenge: ChallengeView
    standings: tuple[Standing, ...]  # the caller's own limits, for the RateLimit headers
    is_new_user: bool | None = None


@dataclass(frozen=True, slots=True)
class OpenCode:
    """A code that can be derived, as read from its row."""

    id: str
    nonce: str
    key_id: str
    kind: str
    created_at: datetime
    expires_at: datetime
    minted_by: str = ""
    own_code_sent: bool = True
    suspected: bool = False  # a vendor said fraud: nothing more is sent for it

    @property
    def is_ours(self) -> bool:
        """Say whether our own digits are out, and so to be compared."""
        return self.own_code_sent or not self.minted_by

    def __repr__(self) -> str:
        return f"OpenCode({self.id[:8]})"


@dataclass(frozen=True, slots=True)
class Opened:
    """A send that was admitted and committed: what the courier carries and the answer shows."""

    phone: Phone
    purpose: Purpose
    code: OpenCode
    challenge_id: str
    support_code: str
    attempts: int
    new_challenge: bool
    new_code: bool
    send_id: str
    message_id: str  # the first gateway's row; empty for a test number
    stamp: int  # epoch milliseconds of this send in the phone's line
    lane: str
    now: datetime
    sends: tuple[int, ...] = field(default_factory=tuple)


def masked(phone: str) -> str:
    """Return a stored number masked."""
    return mask(phone)


_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def support_code(challenge_id: str) -> str:
    """Return `K7QM-2F9D`: 40 bits of the challenge id's digest, in letters that are hard to mishear."""
    digest = int.from_bytes(hashlib.sha256(b"support\x00" + challenge_id.encode()).digest()[:5], "big")
    letters = "".join(_ALPHABET[(digest >> (5 * place)) & 31] for place in range(8))
    return f"{letters[:4]}-{letters[4:]}"
