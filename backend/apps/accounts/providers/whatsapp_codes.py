"""Meta's WhatsApp error codes in our words: what a refused send means, and what a receipt that says failed means.

It must not know HTTP. Meanings: developers.facebook.com, WhatsApp Cloud API, "Error codes". Titles will go away and
subcodes are deprecated: only `code` counts.

Choices that go by whom a code speaks about, because cooling a gateway punishes everybody:
- 130497 refuses one country, 131056 limits one pair of numbers, 131021 is our own number, 131050 one person's wish:
  `Rejected`.
- 130472 (an experiment on this person) and 131049 (Meta spares this person messages) leave the number fine and this
  channel shut, as 131026 does: the SMS route.
"""

from collections.abc import Mapping
from typing import Final

from apps.accounts.providers.base import (
    FailureKind,
    InvalidRecipient,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Throttled,
    Unavailable,
)

# https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
SEND: Final[Mapping[int, type[ProviderError]]] = {
    0: Misconfigured,  # could not authenticate
    1: OutcomeUnknown,  # unknown
    2: OutcomeUnknown,  # service down
    3: Misconfigured,  # capability or permission
    4: Throttled,  # app rate limit
    10: Misconfigured,  # permission
    33: Misconfigured,  # business number deleted
    100: Misconfigured,  # invalid parameter
    190: Misconfigured,  # token expired or revoked
    **dict.fromkeys(range(200, 300), Misconfigured),  # permission
    368: Misconfigured,  # blocked for policy
    80007: Throttled,  # account rate limit
    130429: Throttled,  # throughput
    130472: InvalidRecipient,  # person in an experiment
    130497: Rejected,  # country not allowed
    131000: OutcomeUnknown,  # something went wrong
    131005: Misconfigured,  # access denied
    131008: Misconfigured,  # parameter missing
    131009: Misconfigured,  # parameter invalid
    131016: OutcomeUnknown,  # service unavailable
    131021: Rejected,  # recipient is the sender
    131026: InvalidRecipient,  # not on WhatsApp, terms not accepted, old client
    131031: Misconfigured,  # account locked
    131037: Misconfigured,  # display name
    131042: Misconfigured,  # payment
    131045: Misconfigured,  # registration
    131047: Misconfigured,  # outside the window: needs a template
    131048: Throttled,  # spam rate limit on our number
    131049: InvalidRecipient,  # kept from this person for now
    131050: Rejected,  # person stopped marketing messages
    131051: Misconfigured,  # message type
    131052: Misconfigured,  # media
    131053: Misconfigured,  # media
    131056: Rejected,  # pair rate limit
    131057: Unavailable,  # maintenance mode
    131062: Misconfigured,  # recipient id instead of a number
    132000: Misconfigured,  # number of parameters
    132001: Misconfigured,  # no such template in this language
    132005: Misconfigured,  # text too long
    132007: Misconfigured,  # format policy
    132012: Misconfigured,  # parameter format
    132015: Misconfigured,  # template paused
    132016: Misconfigured,  # template disabled
    132068: Misconfigured,  # flow
    132069: Misconfigured,  # flow
    **dict.fromkeys(range(133000, 133017), Misconfigured),  # registration of the sending number
    135000: Misconfigured,  # generic user error
}

NOT_ON_CHANNEL: Final = frozenset({130472, 131026, 131049})

# `errors[].code` of a status that says failed; a code that is not here is the gateway's affair.
# https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
RECEIPT: Final[Mapping[int, FailureKind]] = {131026: FailureKind.NOT_ON_CHANNEL}
