"""Twilio's error codes in our words: what a refused send means, and what a receipt that says failed means.

It must not know HTTP. Names and meanings: https://www.twilio.com/docs/api/errors/<code>, one page a code; the texts of
the answers change, the codes do not.

Three choices go by whom a code speaks about, because cooling a gateway punishes everybody:
- 21408 and 60605 refuse one country, 14107 one pair of numbers, 63031 a number that is our own: `Rejected`.
- 21612 says that this sender cannot reach the number by SMS; another gateway often can: `Rejected`.
- 63032 is about a person whom WhatsApp experiments with; the number is fine: not on this channel.
"""

from collections.abc import Mapping
from typing import Final

from apps.accounts.providers.base import (
    FailureKind,
    FraudSuspected,
    InvalidRecipient,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Throttled,
    Unavailable,
)

# https://www.twilio.com/docs/api/errors
SEND: Final[Mapping[int, type[ProviderError]]] = {
    14107: Rejected,  # too many messages between two numbers in a short time
    20003: Misconfigured,  # permission denied
    20005: Misconfigured,  # account not active, also: out of funds
    20008: Misconfigured,  # test credentials on a live resource
    20404: Misconfigured,  # wrong account or id
    20429: Throttled,  # too many requests; not processed
    20500: OutcomeUnknown,  # internal error
    20503: OutcomeUnknown,  # unavailable
    21211: InvalidRecipient,  # To is not a number
    21212: Misconfigured,  # From is not a sender
    21219: Misconfigured,  # trial account, To not verified
    21408: Rejected,  # region not enabled
    21602: Misconfigured,  # Body missing
    21603: Misconfigured,  # From missing
    21604: Misconfigured,  # To missing
    21605: Rejected,  # Body too long (old API)
    21606: Misconfigured,  # From cannot send
    21608: Misconfigured,  # trial account, To not verified
    21609: Misconfigured,  # StatusCallback is not an address
    21610: InvalidRecipient,  # recipient has opted out
    21611: Throttled,  # From's queue is full
    21612: Rejected,  # To not reachable by SMS from this sender
    21614: InvalidRecipient,  # not a mobile number
    21617: Rejected,  # Body too long
    21618: Rejected,  # Body filtered by all carriers
    21654: Misconfigured,  # ContentSid missing
    21655: Misconfigured,  # ContentSid wrong
    21656: Misconfigured,  # ContentVariables wrong
    21703: Misconfigured,  # Messaging Service: none available
    21704: Misconfigured,  # Messaging Service: empty
    21705: Misconfigured,  # Messaging Service: wrong
    21910: Misconfigured,  # From and To of different channels
    30001: Throttled,  # queue overflow
    30002: Misconfigured,  # account suspended
    30003: Unavailable,  # handset unreachable
    30004: InvalidRecipient,  # message blocked
    30005: InvalidRecipient,  # unknown handset
    30006: InvalidRecipient,  # landline or unreachable carrier
    30007: Rejected,  # filtered
    30008: Unavailable,  # unknown error
    30010: Misconfigured,  # price above MaxPrice
    30017: Unavailable,  # carrier congestion
    30018: Misconfigured,  # sender must be registered
    30022: Throttled,  # 10DLC rate
    30023: Throttled,  # 10DLC daily cap
    30024: Misconfigured,  # sender not provisioned
    30032: Misconfigured,  # toll-free number not verified
    30034: Misconfigured,  # 10DLC not registered
    30035: Misconfigured,  # 10DLC still being configured
    30036: Unavailable,  # validity period over; was not sent
    30042: Misconfigured,  # generic sender blocked
    30410: OutcomeUnknown,  # carrier did not answer in time
    30450: FraudSuspected,  # pumping protection, minutes
    30453: FraudSuspected,  # pumping protection, hours
    30500: Unavailable,  # internal error while sending; send again
    60205: InvalidRecipient,  # landline
    60238: Misconfigured,  # blocked by Twilio, account review
    60410: FraudSuspected,  # Fraud Guard: prefix blocked
    60605: Rejected,  # country not enabled
    63001: Misconfigured,  # channel could not authenticate
    63003: InvalidRecipient,  # To not found on the channel
    63005: Rejected,  # channel refused the content
    63007: Misconfigured,  # no channel for From
    63010: Unavailable,  # internal, Twilio
    63012: Unavailable,  # internal, channel
    63013: Misconfigured,  # policy violation
    63014: InvalidRecipient,  # recipient blocked the sender
    63015: Misconfigured,  # sandbox not joined
    63016: Misconfigured,  # outside the window: needs a template
    63017: Throttled,  # channel rate limit
    63018: Throttled,  # channel rate limit
    63020: Misconfigured,  # business account
    63021: Rejected,  # channel content invalid
    63023: Unavailable,  # generic channel error
    63024: InvalidRecipient,  # recipient not valid on the channel
    63027: Misconfigured,  # no template in this language
    63028: Misconfigured,  # number of parameters
    63030: Misconfigured,  # unsupported parameter
    63031: Rejected,  # From and To are the same
    63032: InvalidRecipient,  # recipient in an experiment of WhatsApp
    63033: InvalidRecipient,  # recipient blocked the sender
    63038: Throttled,  # daily limit of the account
    63040: Misconfigured,  # template rejected
    63041: Misconfigured,  # template paused
    63042: Misconfigured,  # template disabled
    63049: Misconfigured,  # wrong category of template
    63051: Misconfigured,  # business account locked
}

# The number is fine and WhatsApp cannot reach it: SMS can.
# https://www.twilio.com/docs/whatsapp/api/error-code-mapping
NOT_ON_CHANNEL: Final = frozenset({63003, 63024, 63032})

# ErrorCode of a callback that says failed or undelivered; a code that is not here is the gateway's affair (30003, a
# handset that is off for now, too). https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
RECEIPT: Final[Mapping[int, FailureKind]] = {
    21211: FailureKind.RECIPIENT,
    21610: FailureKind.RECIPIENT,
    21614: FailureKind.RECIPIENT,
    30004: FailureKind.RECIPIENT,
    30005: FailureKind.RECIPIENT,
    30006: FailureKind.RECIPIENT,
    60205: FailureKind.RECIPIENT,
    63014: FailureKind.RECIPIENT,
    63033: FailureKind.RECIPIENT,
    30450: FailureKind.FRAUD,
    30453: FailureKind.FRAUD,
    60410: FailureKind.FRAUD,
    63003: FailureKind.NOT_ON_CHANNEL,
    63024: FailureKind.NOT_ON_CHANNEL,
}
