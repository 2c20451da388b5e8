"""Phone verification, change and step-up over HTTP: parse, call, answer."""

from apps.accounts.api.account_serializers import VerifiedAnswer
from apps.accounts.api.endpoint import Answer, Call, Endpoint
from apps.accounts.api.schema import documented
from apps.accounts.api.serializers import OtpRequestBody, OtpResendBody, OtpVerifyBody, SentAnswer
from apps.accounts.api.views import SEND_ERRORS, TOKEN_ERRORS, SendEndpoint, asker, sent_answer
from apps.accounts.services.model import Purpose
from apps.accounts.services.wiring import services

BEARER_ERRORS = ["not_authenticated", *TOKEN_ERRORS]


def purpose_of(call: Call) -> Purpose | None:
    """Return the purpose that the body names, if it names one."""
    named = call.body.get("purpose")
    return None if named is None else Purpose(named)


class OtpRequest(SendEndpoint):
    bearer = True
    bodies = {"POST": OtpRequestBody}

    @documented(
        "POST", "Ask for a code within an account", ok=SentAnswer,
        errors=[*SEND_ERRORS, *BEARER_ERRORS, "step_up_required"],
    )  # fmt: skip
    def post(self, call: Call) -> Answer:
        sent = services().verification.request(
            call.principal,
            asker(call),
            purpose=purpose_of(call) or Purpose.VERIFY_PHONE,
            number=call.body.get("phone_number", ""),
            channel=call.body.get("channel", ""),
        )
        return sent_answer(sent)


class OtpResend(SendEndpoint):
    bearer = True
    bodies = {"POST": OtpResendBody}

    @documented(
        "POST", "Send this session's open code again", ok=SentAnswer,
        errors=[*SEND_ERRORS, *BEARER_ERRORS, "invalid_otp"],
    )  # fmt: skip
    def post(self, call: Call) -> Answer:
        sent = services().verification.resend(
            call.principal,
            asker(call),
            purpose=purpose_of(call),
            challenge_id=call.body.get("challenge_id", ""),
            channel=call.body.get("channel", ""),
        )
        return sent_answer(sent)


class OtpVerify(Endpoint):
    bearer = True
    bodies = {"POST": OtpVerifyBody}
    idempotent = True

    @documented(
        "POST", "Prove this session's code", ok=VerifiedAnswer,
        errors=[*BEARER_ERRORS, "invalid_request", "invalid_otp", "blocked", "phone_in_use", "too_many_attempts",
                "rate_limited", "request_in_progress", "idempotency_key_reused"],
    )  # fmt: skip
    def post(self, call: Call) -> Answer:
        done = services().verification.verify(
            call.principal,
            call.body["otp"],
            asker(call),
            purpose=purpose_of(call),
            challenge_id=call.body.get("challenge_id", ""),
            keep=call.ticket.keep,
            keep_error=call.ticket.keep_error,
        )
        return Answer(200, done.as_json())


class OldResend(SendEndpoint):
    """The first mobile API's resend: of the account's own number, and a first code where none is open."""

    successor = "/api/auth/otp/resend/"
    bearer = True
    bodies = {"POST": OtpResendBody}

    @documented(
        "POST", "Send a code to the account's number (first mobile API)", ok=SentAnswer,
        errors=[*SEND_ERRORS, *BEARER_ERRORS, "invalid_otp"],
    )  # fmt: skip
    def post(self, call: Call) -> Answer:
        sent = services().verification.resend_or_open(
            call.principal,
            asker(call),
            purpose=purpose_of(call),
            challenge_id=call.body.get("challenge_id", ""),
            channel=call.body.get("channel", ""),
        )
        return sent_answer(sent)
