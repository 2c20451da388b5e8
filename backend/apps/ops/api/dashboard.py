"""The dashboard over HTTP, for whoever has an operator's token. It must not know how its numbers are found."""

from apps.accounts.api.endpoint import Answer, Call
from apps.accounts.api.schema import documented
from apps.ops import present, windows
from apps.ops.api.endpoint import OPERATOR_ERRORS, OperatorEndpoint
from apps.ops.api.serializers_dashboard import DashboardAnswer
from apps.ops.board import board
from apps.ops.dashboard import dashboard


class DashboardEndpoint(OperatorEndpoint):
    query = frozenset({"window"})

    @documented("GET", "How login fares", ok=DashboardAnswer, errors=OPERATOR_ERRORS, tags=["operations"])
    def get(self, call: Call) -> Answer:
        """`window` is a number and m, h or d, at most 31 days; an hour unless it is said."""
        window = windows.parse(call.query.get("window", windows.DEFAULT))
        return Answer(200, present.as_json(dashboard().look(window), board()))
