"""Read-out codes over HTTP. It must not know for whom one may be made."""

from apps.accounts.api.endpoint import Answer, Call
from apps.accounts.api.schema import documented
from apps.accounts.errors import InvalidRequest
from apps.accounts.services.wiring import services
from apps.ops.api.endpoint import OPERATOR_ERRORS, OperatorEndpoint
from apps.ops.api.serializers import ReadOutAnswer, ReadOutBody, ReadOutListAnswer, RevokeBody, RevokedAnswer

TAGS = ["operations"]
MAKE_ERRORS = [
    *OPERATOR_ERRORS, "invalid_phone_number", "blocked", "account_disabled", "forbidden", "user_not_found",
]  # fmt: skip


class ReadOutSessions(OperatorEndpoint):
    bodies = {"POST": ReadOutBody, "DELETE": RevokeBody}

    @documented(
        "GET", "List read-out codes and their sessions", ok=ReadOutListAnswer, errors=OPERATOR_ERRORS, tags=TAGS
    )
    def get(self, call: Call) -> Answer:
        return Answer(200, services().read_outs.list())

    @documented("POST", "Make a read-out code", ok=ReadOutAnswer, ok_status=201, errors=MAKE_ERRORS, tags=TAGS)
    def post(self, call: Call) -> Answer:
        """Support reads it out after checking who is calling; the app's ordinary verify by phone takes it."""
        body = call.body
        made = services().read_outs.make(body["phone_number"], operator=call.principal.name, note=body["note"])
        return Answer(201, {"code": made.code, "expires_in": made.expires_in, "challenge_id": made.challenge_id})

    @documented("DELETE", "Revoke codes and sessions", ok=RevokedAnswer, errors=OPERATOR_ERRORS, tags=TAGS)
    def delete(self, call: Call) -> Answer:
        read_outs, name = services().read_outs, call.principal.name
        session_id, note = call.body.get("session_id"), call.body.get("note")
        if session_id is not None:
            return Answer(200, {"revoked": read_outs.revoke_session(session_id, operator=name, note=note or "")})
        if note is None:
            raise InvalidRequest(fields={"note": ["one_required"], "session_id": ["one_required"]})
        return Answer(200, {"revoked": read_outs.revoke_noted(note, operator=name)})
