"""Recycled numbers over HTTP: the choice, and the claims that a live session of the old account sees and answers."""

from apps.accounts.api.account_serializers import ChooseBody, ClaimAnswer, ClaimAnswerBody, WaitingAnswer
from apps.accounts.api.endpoint import Answer, Call, Endpoint
from apps.accounts.api.schema import documented
from apps.accounts.api.serializers import LoginAnswer
from apps.accounts.api.verification_views import BEARER_ERRORS
from apps.accounts.api.views import asker
from apps.accounts.services.choosing import Waiting
from apps.accounts.services.wiring import services


class PhoneChoose(Endpoint):
    bodies = {"POST": ChooseBody}

    @documented(
        "POST", "Choose between the silent account of a number and a new one", ok=LoginAnswer,
        also={202: WaitingAnswer},
        errors=["invalid_request", "blocked", "account_disabled", "user_not_found"],
    )  # fmt: skip
    def post(self, call: Call) -> Answer:
        chosen = services().choosing.choose(call.body["ticket"], call.body["choice"], asker(call))
        return Answer(202 if isinstance(chosen, Waiting) else 200, chosen.as_json())


class ClaimList(Endpoint):
    bearer = True

    @documented("GET", "List claims on this account", ok=ClaimAnswer(many=True), errors=BEARER_ERRORS)
    def get(self, call: Call) -> Answer:
        return Answer(200, [claim.as_json() for claim in services().recycled.list(call.principal)])


class ClaimOne(Endpoint):
    bearer = True
    bodies = {"POST": ClaimAnswerBody}

    @documented(
        "POST", "Confirm a claim on this account, or object", ok=ClaimAnswer,
        errors=[*BEARER_ERRORS, "invalid_request", "not_found"],
    )  # fmt: skip
    def post(self, call: Call, claim_id: str) -> Answer:
        claim = services().recycled.answer(call.principal, claim_id, call.body["answer"])
        return Answer(200, claim.as_json())
