"""The domain's error tree: every way in which the story can end other than well.

It must not know HTTP: which status an error becomes is decided in api/errors.py alone.

    AccountsError
    ├── InvalidRequest                 a field is missing, mistyped or malformed
    │   └── InvalidPhoneNumber         not E.164, not valid, not canonical, or cannot receive a text
    ├── InvalidCode                    wrong, expired, used or never requested: one answer for all
    ├── NotAuthenticated · TokenInvalid · TokenExpired · SessionRevoked · RefreshReused
    ├── Blocked · CountryNotAllowed · AccountDisabled · StepUpRequired · ProofRequired · NotPermitted
    ├── UserNotFound · NotFound
    ├── PhoneInUse · RequestInProgress · ForceRequired
    ├── PhoneUnreachable · ChannelUnavailable · IdempotencyKeyReused
    ├── Refused429
    │   ├── ResendCooldown · RateLimited · TooManyAttempts
    └── DeliveryFailed · ServiceUnavailable
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class AccountsError(Exception):
    """Base of the tree; `code` is stable and meant for programs."""

    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        detail: str = "",
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
        retry_after: int | None = None,
        scope: str | None = None,
        canonical: str | None = None,
        challenge: Any = None,
        detail_key: str | None = None,
    ) -> None:
        """Describe one failure; `retry_after` is in whole seconds, `detail_key` picks a more exact sentence.

        `standings` is how the caller's own limits stand, where a send was judged.
        """
        super().__init__(detail or self.code)
        self.detail = detail
        self.fields = fields
        self.retry_after = retry_after
        self.scope = scope
        self.canonical = canonical
        self.challenge = challenge
        self.detail_key = detail_key
        self.standings: tuple[Any, ...] = ()


class InvalidRequest(AccountsError):
    code = "invalid_request"


class InvalidPhoneNumber(InvalidRequest):
    code = "invalid_phone_number"


class InvalidCode(AccountsError):
    code = "invalid_otp"


class NotAuthenticated(AccountsError):
    code = "not_authenticated"


class TokenInvalid(AccountsError):
    code = "token_invalid"


class TokenExpired(AccountsError):
    code = "token_expired"


class SessionRevoked(AccountsError):
    code = "session_revoked"


class RefreshReused(AccountsError):
    code = "refresh_reused"


class Blocked(AccountsError):
    code = "blocked"


class CountryNotAllowed(AccountsError):
    code = "country_not_allowed"


class AccountDisabled(AccountsError):
    code = "account_disabled"


class StepUpRequired(AccountsError):
    code = "step_up_required"


class ProofRequired(AccountsError):
    """`provider` names the service whose challenge the client is to run."""

    code = "proof_required"

    def __init__(self, *, provider: str = "") -> None:
        super().__init__()
        self.provider = provider


class NotPermitted(AccountsError):
    """What was asked is not for this caller, or not for this account."""

    code = "forbidden"


class UserNotFound(AccountsError):
    code = "user_not_found"


class NotFound(AccountsError):
    code = "not_found"


class PhoneInUse(AccountsError):
    code = "phone_in_use"


class RequestInProgress(AccountsError):
    code = "request_in_progress"


class ForceRequired(AccountsError):
    code = "force_required"


class PhoneUnreachable(AccountsError):
    code = "phone_unreachable"


class ChannelUnavailable(AccountsError):
    code = "channel_unavailable"


class IdempotencyKeyReused(AccountsError):
    code = "idempotency_key_reused"


class Refused429(AccountsError):
    """A refusal that carries how many whole seconds to wait."""


class ResendCooldown(Refused429):
    code = "resend_cooldown"


class RateLimited(Refused429):
    code = "rate_limited"


class TooManyAttempts(Refused429):
    """`limit` is the limit on wrong codes that refused: for whoever watches the service, and in no answer."""

    code = "too_many_attempts"

    def __init__(self, *, limit: str, retry_after: int, detail_key: str | None = None) -> None:
        super().__init__(retry_after=retry_after, detail_key=detail_key)
        self.limit = limit


class DeliveryFailed(AccountsError):
    code = "delivery_failed"


class ServiceUnavailable(AccountsError):
    code = "service_unavailable"
