"""An operator's choice of gateway over HTTP. It must not know how a route is planned."""

from apps.accounts.api.endpoint import Answer, Call
from apps.accounts.api.schema import documented
from apps.accounts.services.wiring import services
from apps.ops import status
from apps.ops.api.endpoint import OPERATOR_ERRORS, OperatorEndpoint
from apps.ops.api.serializers import ChoiceAnswer, LiftedAnswer, LiftProviderBody, ProviderAnswer, ProviderBody
from apps.ops.board import board

TAGS = ["operations"]


class ProviderChoice(OperatorEndpoint):
    bodies = {"POST": ProviderBody, "DELETE": LiftProviderBody}

    @documented("GET", "Show the choice in force", ok=ProviderAnswer, errors=OPERATOR_ERRORS, tags=TAGS)
    def get(self, call: Call) -> Answer:
        choice = services().gateway_choices.current()
        return Answer(
            200, {"choice": choice.as_json() if choice else None, "providers": status.status(board())["providers"]}
        )

    @documented("POST", "Put a gateway first", ok=ChoiceAnswer, errors=OPERATOR_ERRORS, tags=TAGS)
    def post(self, call: Call) -> Answer:
        """Those before it in the route are set aside, until the choice ends or is lifted."""
        body = call.body
        choice = services().gateway_choices.set(
            body["provider"],
            note=body.get("note", ""),
            by=call.principal.name,
            expires_in=body.get("expires_in"),
        )
        board().forget()
        return Answer(200, choice.as_json())

    @documented("DELETE", "Lift the choice", ok=LiftedAnswer, errors=OPERATOR_ERRORS, tags=TAGS)
    def delete(self, call: Call) -> Answer:
        lifted = services().gateway_choices.lift(by=call.principal.name, note=call.body.get("note", ""))
        board().forget()
        return Answer(200, {"lifted": lifted})
