"""What the courier carries and how that ends. It must not know a route or a gateway."""

from dataclasses import dataclass

from apps.accounts.config import Config
from apps.accounts.phones import Phone
from apps.accounts.providers.base import (
    Channel,
    FraudSuspected,
    InvalidRecipient,
    OutcomeUnknown,
    ProviderError,
    Receipt,
)


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """One code on its way to one person; `message_id` names the attempt row that is already committed, if any."""

    phone: Phone
    channel: Channel
    code: str | None
    text: str
    language: str
    send_id: str
    cause: str
    challenge_id: str | None
    code_id: str | None
    valid_seconds: int


@dataclass(frozen=True, slots=True)
class Handover:
    """How the route ended. `state`: accepted, unknown, refused, unreachable, not_on_channel, fraud, nobody.

    `contacted` says whether any gateway was called at all, `exhausted` that this host could not call one; `nobody` that
    none could be; `overtaken` that a receipt was faster than the gateway's answer and knows more. `minted_by` made a
    code of its own, or may have.
    """

    state: str
    provider: str = ""
    contacted: bool = True
    exhausted: bool = False
    retry_after: int = 5
    channel: Channel | None = None
    minted_by: str = ""
    minted_for_seconds: int = 0
    overtaken: bool = False


def patience(config: Config) -> float:
    """Return the seconds after which an unfinished attempt reads `unknown`."""
    return config.send_deadline + 3


def ending(name: str, result: Receipt | ProviderError, known: str) -> Handover | None:
    """Return how the route ended with this try, or None where the next gateway is to be tried."""
    if isinstance(result, Receipt):
        return Handover(state="accepted", provider=name, channel=result.channel, overtaken=known != "accepted")
    if known in ("accepted", "delivered"):  # a receipt says that it went out, whatever became of the answer
        return Handover(state="accepted", provider=name, overtaken=True)
    if known == "failed" and isinstance(result, OutcomeUnknown):  # and a receipt that says failed sends on by itself
        return Handover(state="unknown", provider=name, overtaken=True)
    if isinstance(result, InvalidRecipient):
        return Handover(state="not_on_channel" if result.not_on_channel else "unreachable", provider=name)
    return Handover(state="fraud", provider=name) if isinstance(result, FraudSuspected) else None
