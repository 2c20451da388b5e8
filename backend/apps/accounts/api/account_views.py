"""An account's own end and its own data over HTTP, and the public keys that its tokens are verified by."""

import json

from apps.accounts.api.account_serializers import ExportAnswer, KeySetAnswer
from apps.accounts.api.endpoint import Answer, Call, Endpoint
from apps.accounts.api.schema import documented
from apps.accounts.api.verification_views import BEARER_ERRORS
from apps.accounts.services.export import export
from apps.accounts.services.keys import PUBLISHED_FOR
from apps.accounts.services.wiring import services


class Account(Endpoint):
    bearer = True
    step_up = True

    @documented("DELETE", "Delete this account", ok=None, ok_status=204, errors=BEARER_ERRORS)
    def delete(self, call: Call) -> Answer:
        services().ownership.delete(call.principal)
        return Answer(204)


class AccountExport(Endpoint):
    bearer = True
    step_up = True

    @documented("GET", "Export this account's data", ok=ExportAnswer, errors=BEARER_ERRORS)
    def get(self, call: Call) -> Answer:
        return Answer(200, export(call.principal))


class KeySet(Endpoint):
    @documented(
        "GET", "Public keys of our tokens", ok=KeySetAnswer, also={304: None},
        headers={"ETag": "Changes with the keys.", "Cache-Control": "How long a verifier may keep them."},
    )  # fmt: skip
    def get(self, call: Call) -> Answer:
        document = services().keys.document()
        headers = {"ETag": document.etag, "Cache-Control": f"public, max-age={PUBLISHED_FOR}"}
        if {document.etag, "*"} & _tags(call.request.META.get("HTTP_IF_NONE_MATCH", "")):
            return Answer(304, None, headers)
        return Answer(200, json.loads(document.body), headers)


def _tags(header: str) -> set[str]:
    """Return the entity tags of If-None-Match, compared weakly (RFC 9110, 13.1.2)."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
