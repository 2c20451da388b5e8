"""The base of the operators' endpoints: who calls is proven by `X-Admin-Token`, and by nothing else.

It must not know what an operator may do.
"""

from typing import Any

from django.conf import settings

from apps.accounts.api.endpoint import Call, Endpoint
from apps.accounts.services.wiring import services
from apps.ops import operators

OPERATOR_ERRORS = ["not_authenticated", "token_invalid", "rate_limited", "invalid_request", "not_found"]


class OperatorEndpoint(Endpoint):
    """404 without a configured token; `call.principal` is the Operator."""

    security_scheme = "adminToken"

    def exists(self) -> bool:
        """Say whether anybody could be an operator at all."""
        return bool(settings.OTP.admin_tokens)

    def identify(self, call: Call) -> Any:
        """Return the operator by the one header that is ever read for it."""
        shown = call.request.META.get("HTTP_X_ADMIN_TOKEN", "")
        return operators.identify(shown, ip=call.client_ip, services=services())
