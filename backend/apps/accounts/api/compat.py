"""The first mobile API's paths: the same services, the same bodies, the differences of contract section 9."""

from apps.accounts.api.endpoint import Answer, Call
from apps.accounts.api.schema import documented
from apps.accounts.api.serializers import LoginAnswer, SentAnswer
from apps.accounts.api.views import SEND_ERRORS, VERIFY_ERRORS, AccountStatus, PhoneRequest, PhoneVerify
from apps.accounts.services.wiring import services


class OldRequest(PhoneRequest):
    successor = "/api/auth/phone/request/"

    @documented("POST", "Ask for a code (first mobile API)", ok=SentAnswer, errors=SEND_ERRORS)
    def post(self, call: Call) -> Answer:
        answer = super().post(call)
        return Answer(answer.status, {**answer.data, "is_new_user": False}, answer.headers)


class OldVerify(PhoneVerify):
    successor = "/api/auth/phone/verify/"

    @documented("POST", "Prove the code (first mobile API)", ok=LoginAnswer, errors=VERIFY_ERRORS)
    def post(self, call: Call) -> Answer:
        return super().post(call)


class OldStatus(AccountStatus):
    successor = "/api/auth/status/"


class TestingRequest(OldRequest):
    """The console provider, whatever OTP_PROVIDER says; 404 in production."""

    only_gateway = "console"
    development_only = True

    def exists(self) -> bool:
        """Say that the path is there in development only."""
        return services().config.debug


class TestingVerify(OldVerify):
    """404 in production."""

    development_only = True

    def exists(self) -> bool:
        """Say that the path is there in development only."""
        return services().config.debug
