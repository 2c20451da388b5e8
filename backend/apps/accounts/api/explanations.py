"""What each error code means and what an app should do about it, for the people who write apps.

The pages under /errors/ and docs/errors.md are made from this. It must not know how an error is answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Explanation:
    """`when` says what happened, `then` what an app should do."""

    when: str
    then: str


_LOGIN: Final = "Drop the tokens of this session and let the person log in again."
_BUG: Final = "A mistake of the app: fix it there; trying again does not help."

EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    "invalid_request": Explanation(
        "The body is not well-formed JSON, is no object, or a member is missing or of another type (see `fields`).",
        _BUG + " Nothing was changed and no try was used up.",
    ),
    "invalid_phone_number": Explanation(
        "The number is not `+` and 10 to 15 digits, is not a valid number, cannot receive a text, or is spelled "
        "differently from its one canonical form, which `canonical` then holds.",
        "Show the message at the number's field. Where `canonical` is given, offer that number instead.",
    ),
    "invalid_otp": Explanation(
        "The code is wrong, has expired, was used, or was never asked for. One answer for all of these, on purpose.",
        "Let the person type again; offer a new code when the old one's `expires_in` has passed.",
    ),
    "not_authenticated": Explanation(
        "The call needs a token and none came.", "Send `Authorization: Bearer …`, or log in."
    ),
    "token_invalid": Explanation(
        "The token was not made here, was changed, is of another kind, or its key is no longer trusted.",
        "Refresh once with the refresh token and repeat the call; if that fails, log in again.",
    ),
    "token_expired": Explanation(
        "The token's time is over.",
        "Refresh once with the refresh token and repeat the call; if that fails, log in again.",
    ),
    "session_revoked": Explanation("The session was ended: logged out here or elsewhere, or by support.", _LOGIN),
    "refresh_reused": Explanation(
        "A refresh token was used that had been replaced earlier, or from another device. The session was ended, "
        "because somebody may have copied it.",
        _LOGIN
        + " Store the newest refresh token before using its access token, and send the same `X-Device-ID` always.",
    ),
    "blocked": Explanation(
        "The number, address or device is on the block list, or a gateway reported fraud: nothing "
        "more is sent for a code while it is open.",
        "Show the message with a way to reach support. Do not try again.",
    ),
    "country_not_allowed": Explanation(
        "Codes are not sent to this country, or sending there is paused.", "Show the message; offer another number."
    ),
    "account_disabled": Explanation(
        "The code was right, but the account is disabled.", "Show the message with a way to reach support."
    ),
    "step_up_required": Explanation(
        "The call needs a token that was confirmed with a fresh code.",
        "Run `otp/request` and `otp/verify` with purpose `step_up`, then repeat the call with the token from there.",
    ),
    "proof_required": Explanation(
        "A proof that a person or a genuine app asks is needed before a code is sent.",
        "Run the challenge of the proof service and repeat the call with its token.",
    ),
    "forbidden": Explanation(
        "A staff page that this member of staff may not open, a form without its token, or an operator's act that is "
        "not for this account, such as a read-out code for staff.",
        "Log in as staff again; for an account of staff there is no way by support.",
    ),
    "user_not_found": Explanation(
        "The code was right, but there is no account with this number and new ones are not opened.",
        "Tell the person; offer another number.",
    ),
    "not_found": Explanation(
        "There is no such path, challenge or session, or it belongs to somebody else.",
        "Forget the id. If the path is fixed in the app, fix it there.",
    ),
    "method_not_allowed": Explanation("The path does not know this method; `Allow` lists those it knows.", _BUG),
    "phone_in_use": Explanation(
        "The new number was proven, but another account has it.", "Tell the person; the number was not changed."
    ),
    "request_in_progress": Explanation(
        "A call with this `Idempotency-Key` is still being worked on.",
        "Wait a second and repeat the same call with the same key.",
    ),
    "force_required": Explanation(
        "An operator's block would cover everybody or the operator.", 'Check it, then repeat it with `"force": true`.'
    ),
    "body_too_large": Explanation("The body is larger than 16 KiB.", _BUG),
    "unsupported_media_type": Explanation(
        "The body is not `application/json` in UTF-8, or has a `Content-Encoding`.", _BUG
    ),
    "phone_unreachable": Explanation(
        "A gateway says that this number can never receive the message: a landline, opted out, or not in service.",
        "Ask for another number, or offer another channel. Do not send to it again.",
    ),
    "channel_unavailable": Explanation(
        "No gateway can carry this channel at the moment.", "Offer the other channel, or leave `channel` out."
    ),
    "idempotency_key_reused": Explanation(
        "The `Idempotency-Key` came with another body before.", "Make a new key for every new act. " + _BUG
    ),
    "resend_cooldown": Explanation(
        "A code went to this number a moment ago.",
        "Count `retry_after` down on the button and let the person wait for the message. "
        "The code already sent stays good.",
    ),
    "rate_limited": Explanation(
        "A limit is used up; `scope` says whose: the number's, the address's, the device's, or the whole service's. An "
        "operator's own limit on read-out codes has none.",
        "Wait `retry_after` seconds. A call made then is admitted if nothing else was sent meanwhile.",
    ),
    "too_many_attempts": Explanation(
        "Too many wrong codes: the challenge is locked, or tries must wait for a while.",
        "Wait `retry_after` seconds. A right code named by its `challenge_id`, a known device, or a code read out by "
        "support may still work.",
    ),
    "internal_error": Explanation(
        "A mistake on our side.",
        "Repeat once after a few seconds with the same `Idempotency-Key`; report `request_id`.",
    ),
    "delivery_failed": Explanation(
        "Every gateway refused the message; nothing went out. The paths of the first mobile API answer 500 for it.",
        "Offer to try again after `retry_after` seconds, and the other channel.",
    ),
    "service_unavailable": Explanation(
        "The service cannot work at this moment; nothing was used up and nothing was sent.",
        "Repeat the same call after `retry_after` seconds, with the same `Idempotency-Key`.",
    ),
}
