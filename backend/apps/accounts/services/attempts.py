"""Attempts as rows: written before a gateway is called, finished after it.

It must not know gateways, nor who calls them.
"""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Final

from apps.accounts.phones import Phone
from apps.accounts.providers.base import Channel, FailureKind, FraudSuspected, ProviderError, Receipt
from apps.accounts.services import statements

# The `error_kind` of a message for which a vendor said fraud, in a receipt or at once.
FRAUD: Final = (FailureKind.FRAUD.value, FraudSuspected.kind)

# The `error_kind` of a row whose gateway was not called after all: no try, whatever counts tries.
NEVER_CALLED: Final = "cooling"


def open_row(
    phone: Phone, *, provider: str, channel: Channel, send_id: str, cause: str, challenge_id: str | None,
    code_id: str | None, now: datetime,
) -> str:  # fmt: skip
    """Write the attempt row inside the caller's transaction; return its id."""
    message_id = uuid.uuid4().hex
    statements.run(
        "INSERT INTO accounts_message (id, challenge_id, code_id, send_id, cause, phone, country, provider, "
        "channel, state, vendor_id, error_kind, error_code, created_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'sending', '', '', '', %s)",
        (
            message_id, challenge_id, code_id, send_id, cause, phone.e164, phone.region, provider, channel.value, now,
        ),
    )  # fmt: skip
    return message_id


def write_untried(message_id: str) -> None:
    """Finish the row of a gateway that was not called after all: it is cooling, and another send has its probe."""
    statements.run(
        f"UPDATE accounts_message SET state = 'failed', error_kind = '{NEVER_CALLED}', "
        f"finished_at = {statements.now_sql()} WHERE id = %s AND state = 'sending'",
        (message_id,),
    )


def state_of(result: Receipt | ProviderError) -> str:
    """Return the state of a message after a try, as far as the gateway's answer says."""
    if isinstance(result, Receipt):
        return "accepted"
    return "failed" if result.definite else "unknown"


def write_outcome(
    name: str, message_id: str, result: Receipt | ProviderError, *, seconds: float, early: Callable[[str, str], None]
) -> str:
    """Write how gateway `name` ended a try after `seconds`, and return the message's state.

    A receipt may have come before our own send returned, by our reference or into the inbox: it knows more. What waited
    in the inbox for the vendor's id is applied by `early(name, vendor id)`.
    """
    state = state_of(result)
    if isinstance(result, Receipt):
        vendor_id, kind, code = result.vendor_id[:128], "", ""
    else:
        vendor_id, kind, code = "", result.kind, result.vendor_code
    found = statements.row(
        "UPDATE accounts_message SET state = CASE WHEN state IN ('sending', 'unknown') THEN %s ELSE state END, "
        "vendor_id = CASE WHEN vendor_id = '' THEN %s ELSE vendor_id END, "
        "error_kind = CASE WHEN state IN ('sending', 'unknown') THEN %s ELSE error_kind END, "
        "error_code = CASE WHEN state IN ('sending', 'unknown') THEN %s ELSE error_code END, "
        f"latency_ms = %s, finished_at = {statements.now_sql()} WHERE id = %s RETURNING state, "
        "EXISTS (SELECT 1 FROM accounts_receiptinbox i WHERE i.provider = %s AND i.vendor_id = %s)",
        (state, vendor_id, kind, code, round(seconds * 1000), message_id, name, vendor_id),
    )
    if found is None:
        return state
    if vendor_id and found[1]:
        early(name, vendor_id)
        found = statements.row("SELECT state FROM accounts_message WHERE id = %s", (message_id,)) or found
    return str(found[0])
