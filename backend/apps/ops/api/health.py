"""Status, health and readiness over HTTP: no token, nothing personal. It must not know how the standing is found."""

from apps.accounts.api.endpoint import Answer, Call, Endpoint
from apps.accounts.api.schema import documented
from apps.ops import status
from apps.ops.api.serializers import HealthAnswer, ReadinessAnswer, ServiceStatusAnswer
from apps.ops.board import board

TAGS = ["status"]


class ServiceStatus(Endpoint):
    @documented("GET", "How the service stands", ok=ServiceStatusAnswer, tags=TAGS)
    def get(self, call: Call) -> Answer:
        return Answer(200, status.status(board()))


class Health(Endpoint):
    @documented("GET", "Whether the process lives", ok=HealthAnswer, tags=TAGS)
    def get(self, call: Call) -> Answer:
        return Answer(200, {"status": "alive"})


class Readiness(Endpoint):
    @documented("GET", "Whether this process can serve", ok=ReadinessAnswer, also={503: ReadinessAnswer}, tags=TAGS)
    def get(self, call: Call) -> Answer:
        ready, facts = status.readiness(board())
        # An orchestrator asks again by itself; whoever reads the header is told when.
        return Answer(200 if ready else 503, facts, {} if ready else {"Retry-After": "1"})
