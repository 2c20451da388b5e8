"""One person's story and an incident's people over HTTP. It must not know how either is found."""

from apps.accounts.api.endpoint import Answer, Call
from apps.accounts.api.schema import documented
from apps.accounts.errors import InvalidRequest
from apps.accounts.services.wiring import services
from apps.ops import affected
from apps.ops.api.endpoint import OPERATOR_ERRORS, OperatorEndpoint
from apps.ops.api.serializers import AffectedAnswer, ExplainAnswer, ExplainBody
from apps.ops.explain import explain

TAGS = ["operations"]


class Explain(OperatorEndpoint):
    bodies = {"POST": ExplainBody}
    query = frozenset({"q"})

    @documented(
        "GET",
        "Tell a person's story by support code or challenge id",
        ok=ExplainAnswer,
        errors=OPERATOR_ERRORS,
        tags=TAGS,
    )
    def get(self, call: Call) -> Answer:
        """A phone number has no place in an address, which is logged on its way: POST it."""
        if "q" not in call.query:
            raise InvalidRequest(fields={"q": ["required"]})
        return Answer(200, explain(call.query["q"], services=services(), by_phone=False).as_json())

    @documented(
        "POST", "Tell a person's story, also by phone number", ok=ExplainAnswer, errors=OPERATOR_ERRORS, tags=TAGS
    )
    def post(self, call: Call) -> Answer:
        return Answer(200, explain(call.body["q"], services=services(), by_phone=True).as_json())


class Affected(OperatorEndpoint):
    query = frozenset({"since", "until"})

    @documented("GET", "List whose login failed in an incident", ok=AffectedAnswer, errors=OPERATOR_ERRORS, tags=TAGS)
    def get(self, call: Call) -> Answer:
        made = services()
        window = affected.window(call.query.get("since", ""), call.query.get("until", ""), services=made)
        people = affected.people(window, services=made)
        shown = [person.as_json() for person in people[: affected.SHOWN_AT_MOST]]
        return Answer(200, {"people": shown, "total": len(people)})
