"""`/metrics` over HTTP: Prometheus text for whoever has the token. It must not know what is measured."""

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.exposition import generate_latest

from apps.accounts.api.docs import only_read
from apps.accounts.errors import NotAuthenticated, TokenInvalid
from apps.ops.metrics import registry


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the measurements of all processes; open only with DEBUG."""
    only_read(request)
    if not settings.OTP.debug:
        _require_token(request.META.get("HTTP_AUTHORIZATION", ""), settings.OTP["METRICS_TOKEN"])
    return HttpResponse(generate_latest(registry()), content_type=CONTENT_TYPE_LATEST)


def _require_token(shown: str, token: str) -> None:
    scheme, _, given = shown.partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise NotAuthenticated
    digests = (hmac.digest(b"metrics", text.encode("utf-8", "surrogatepass"), "sha256") for text in (given, token))
    if not token or not hmac.compare_digest(*digests):
        raise TokenInvalid
