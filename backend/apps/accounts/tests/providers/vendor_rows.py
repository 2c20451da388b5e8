"""The vendors' codes with the class that their meaning puts them into, written down a second time and apart from the
gateways' own tables, so that a slip in either shows.

Classes: R recipient, C configuration or account, X content, T throttled, S surely not sent, A ambiguous, F fraud.
"""

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

LEAF_OF: Final[dict[str, type[ProviderError]]] = {
    "R": InvalidRecipient,
    "C": Misconfigured,
    "X": Rejected,
    "T": Throttled,
    "S": Unavailable,
    "A": OutcomeUnknown,
    "F": FraudSuspected,
}

TWILIO_ROWS: Final = """
20003 401 C | 20005 403 C | 20008 403 C | 20404 404 C | 20429 429 T | 20500 500 A | 20503 503 A
21211 400 R | 21212 400 C | 21408 400 C | 21602 400 C | 21603 400 C | 21604 400 C | 21605 400 X | 21617 400 X
21606 400 C | 21608 400 C | 21219 400 C | 21609 400 C | 21610 400 R | 21611 400 T | 21612 400 R | 21614 400 R
21618 400 X | 21654 400 C | 21655 400 C | 21656 400 C | 21703 400 C | 21704 400 C | 21705 400 C | 21910 400 C
14107 429 T | 30001 400 T | 30002 400 C | 30003 400 S | 30004 400 R | 30005 400 R | 30006 400 R | 30007 400 X
30008 400 S | 30010 400 C | 30017 400 S | 30018 400 C | 30024 400 C | 30042 400 C | 30022 400 T | 30023 400 T
30032 400 C | 30034 400 C | 30035 400 C | 30036 400 S | 30410 400 A | 30450 400 F | 30453 400 F | 30500 400 S
60205 403 R | 60238 403 C | 60410 403 F | 60605 403 C
63001 400 C | 63003 400 R | 63005 400 X | 63021 400 X | 63007 400 C | 63010 400 S | 63012 400 S | 63013 400 C
63014 400 R | 63033 400 R | 63015 400 C | 63016 400 C | 63017 400 T | 63018 400 T | 63020 400 C | 63023 400 S
63024 400 R | 63027 400 C | 63028 400 C | 63030 400 C | 63031 400 C | 63032 400 S | 63038 429 T | 63040 400 C
63041 400 C | 63042 400 C | 63049 400 C | 63051 400 C
"""

META_ROWS: Final = """
0 401 C | 190 401 C | 3 500 C | 10 403 C | 200 403 C | 250 403 C | 299 403 C | 1 400 A | 2 503 A | 4 400 T | 80007 400 T
33 400 C | 100 400 C | 368 403 C | 130429 400 T | 130429 429 T | 130472 400 S | 130497 403 C | 131000 500 A
131005 403 C | 131008 400 C | 131009 400 C | 131016 500 A | 131021 400 C | 131026 400 R | 131031 403 C | 131037 400 C
131042 400 C | 131045 500 C | 131047 400 C | 131048 400 T | 131049 400 S | 131050 400 X | 131051 400 C | 131052 400 C
131053 400 C | 131056 400 T | 131057 500 S | 131062 400 C | 132000 400 C | 132001 404 C | 132005 400 C | 132007 400 C
132012 400 C | 132015 400 C | 132016 400 C | 132068 400 C | 132069 400 C | 133000 500 C | 133004 503 C | 133005 400 C
133006 400 C | 133008 400 C | 133009 400 C | 133010 400 C | 133015 400 C | 133016 400 C | 135000 400 C
"""

# What deviates from the class, with whom the code speaks about: one country, one pair of numbers, one person, our own
# number, or a number that another channel or another sender reaches.
TWILIO_CHOICES: Final[dict[int, type[ProviderError]]] = {
    14107: Rejected,
    21408: Rejected,
    21612: Rejected,
    60605: Rejected,
    63031: Rejected,
    63032: InvalidRecipient,
}
META_CHOICES: Final[dict[int, type[ProviderError]]] = {
    130472: InvalidRecipient,
    130497: Rejected,
    131021: Rejected,
    131049: InvalidRecipient,
    131056: Rejected,
}
ELSEWHERE: Final = {"twilio": {63003, 63024, 63032}, "whatsapp": {130472, 131026, 131049}}

TWILIO_RECEIPTS: Final[dict[int, FailureKind]] = {
    **dict.fromkeys((21211, 21610, 21614, 30004, 30005, 30006, 60205, 63014, 63033), FailureKind.RECIPIENT),
    **dict.fromkeys((30450, 30453, 60410), FailureKind.FRAUD),
    **dict.fromkeys((63003, 63024), FailureKind.NOT_ON_CHANNEL),
}
META_RECEIPTS: Final[dict[int, FailureKind]] = {131026: FailureKind.NOT_ON_CHANNEL}


def rows(table: str) -> list[tuple[int, int, str]]:
    """Return code, HTTP status and class of each row."""
    found = [row.split() for line in table.strip().splitlines() for row in line.split("|")]
    return [(int(code), int(status), kind) for code, status, kind in found]
