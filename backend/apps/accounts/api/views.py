"""Phone login over HTTP: parse, call, answer. A view with an `if` about the domain would be in the wrong room."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from apps.accounts.api.endpoint import Answer, Call, Endpoint
from apps.accounts.api.schema import documented
from apps.accounts.api.serializers import (
    ChallengeAnswer,
    EmptyAnswer,
    LoginAnswer,
    PhoneRequestBody,
    PhoneResendBody,
    PhoneVerifyBody,
    RefreshAnswer,
    RefreshBody,
    SentAnswer,
    SessionAnswer,
    StatusAnswer,
    TokenBody,
)
from apps.accounts.errors import AccountsError, InvalidRequest
from apps.accounts.services.limits import Standing
from apps.accounts.services.login import person_json
from apps.accounts.services.model import Ask, Asker, Sent
from apps.accounts.services.proof import AtOnce
from apps.accounts.services.wiring import services

SEND_ERRORS = [
    "invalid_request", "invalid_phone_number", "blocked", "country_not_allowed", "proof_required", "phone_unreachable",
    "channel_unavailable", "resend_cooldown", "rate_limited", "delivery_failed", "service_unavailable",
    "request_in_progress", "idempotency_key_reused",
]  # fmt: skip
VERIFY_ERRORS = [
    "invalid_request", "invalid_phone_number", "invalid_otp", "blocked", "account_disabled", "user_not_found",
    "too_many_attempts", "rate_limited", "service_unavailable", "request_in_progress", "idempotency_key_reused",
]  # fmt: skip
TOKEN_ERRORS = ["token_invalid", "token_expired", "session_revoked", "service_unavailable"]


def asker(call: Call) -> Asker:
    """Return who is calling."""
    return Asker(
        ip=call.client_ip,
        device_id=call.device_id,
        device_name=call.device_name,
        device_token=call.device_token,
        user_agent=call.user_agent,
        language=call.language.value,
        proof=call.proof,
    )


def sent_answer(sent: Sent) -> Answer:
    """Return the answer to an admitted request or resend, with the caller's own limits in its headers."""
    challenge = sent.challenge
    data: dict[str, Any] = {
        "message": "Verification code sent successfully",
        "expires_in": challenge.expires_in,
        "resend_in": challenge.resend_in,
        "challenge_id": challenge.id,
        "challenge": challenge.as_json(),
    }
    if sent.is_new_user is not None:
        data["is_new_user"] = sent.is_new_user
    return Answer(200, data, rate_limit_headers(sent.standings))


def rate_limit_headers(standings: tuple[Standing, ...]) -> dict[str, str]:
    """Return RateLimit-Policy and RateLimit for the limit that is nearest to refusing.

    draft-ietf-httpapi-ratelimit-headers: `q` quota, `w` window, `r` remaining, `t` seconds until more is available.
    """
    if not standings:
        return {}
    near = min(standings, key=lambda standing: (standing.remaining / standing.limit.limit, -standing.reset_ms))
    name, limit = near.limit.scope.removesuffix("48"), near.limit  # a /48 is the caller's address too
    return {
        "RateLimit-Policy": f'"{name}";q={limit.limit};w={limit.window_ms // 1000}',
        "RateLimit": f'"{name}";r={near.remaining};t={-(-near.reset_ms // 1000)}',
    }


class SendEndpoint(Endpoint):
    """A call that sends a code: its answers say how near the caller is to being refused, refusals too."""

    idempotent = True
    sends = True

    def refusal_headers(self, error: AccountsError) -> Mapping[str, str]:
        return rate_limit_headers(error.standings)


class PhoneRequest(SendEndpoint):
    bodies = {"POST": PhoneRequestBody}
    only_gateway = ""

    @documented("POST", "Ask for a code", ok=SentAnswer, errors=SEND_ERRORS)
    def post(self, call: Call) -> Answer:
        otp = services().otp
        phone = otp.parse_phone(call.body["phone_number"])
        ask = Ask(asker=asker(call), channel=call.body.get("channel", ""), only_gateway=self.only_gateway)
        return sent_answer(otp.request(phone, ask))


class PhoneResend(SendEndpoint):
    bodies = {"POST": PhoneResendBody}

    @documented("POST", "Send the open code again", ok=SentAnswer, errors=[*SEND_ERRORS, "invalid_otp"])
    def post(self, call: Call) -> Answer:
        otp = services().otp
        number = call.body.get("phone_number")
        ask = Ask(
            asker=asker(call),
            channel=call.body.get("channel", ""),
            challenge_id=call.body.get("challenge_id", ""),
            resend=True,
        )
        return sent_answer(otp.resend(ask, phone=None if number is None else otp.parse_phone(number)))


class PhoneVerify(Endpoint):
    bodies = {"POST": PhoneVerifyBody}
    idempotent = True

    @documented("POST", "Prove the code, get a session", ok=LoginAnswer, errors=VERIFY_ERRORS)
    def post(self, call: Call) -> Answer:
        rooms, caller = services(), asker(call)
        number, challenge_id = call.body.get("phone_number"), call.body.get("challenge_id", "")
        if number is None and not challenge_id:
            raise InvalidRequest(fields={"phone_number": ["required"]})
        at_once: AtOnce[Any] | None = None
        if not call.ticket.active:  # an answer that is kept is kept in the transaction of the act
            at_once = partial(rooms.ordinary_login.log_in, asker=caller)
        result = rooms.otp.verify(
            call.body["otp"],
            asker=caller,
            phone=None if number is None else rooms.otp.parse_phone(number),
            challenge_id=challenge_id,
            then=lambda proven: rooms.login.finish(
                proven, caller, keep=call.ticket.keep, keep_error=call.ticket.keep_error
            ),
            at_once=at_once,
        )
        return Answer(200, result.as_json())


class PhoneChallenge(Endpoint):
    @documented("GET", "Read a challenge", ok=ChallengeAnswer, errors=["not_found"])
    def get(self, call: Call, challenge_id: str) -> Answer:
        return Answer(200, services().otp.read(challenge_id).as_json())

    @documented("DELETE", "Cancel a challenge", ok=None, ok_status=204, errors=["not_found"])
    def delete(self, call: Call, challenge_id: str) -> Answer:
        services().otp.cancel(challenge_id)
        return Answer(204)


class AccountStatus(Endpoint):
    bearer = True

    @documented("GET", "Who am I", ok=StatusAnswer, errors=["not_authenticated", *TOKEN_ERRORS])
    def get(self, call: Call) -> Answer:
        principal = call.principal
        return Answer(
            200,
            {
                "authenticated": True,
                "user": person_json(principal.person),
                "phone_verified": principal.person.phone_verified,
                "account_active": principal.is_active,
                "session_id": principal.session_id,
            },
        )


class TokenRefresh(Endpoint):
    bodies = {"POST": RefreshBody}
    idempotent = True

    @documented(
        "POST", "Rotate the tokens", ok=RefreshAnswer, errors=[*TOKEN_ERRORS, "refresh_reused", "invalid_request"]
    )
    def post(self, call: Call) -> Answer:
        refreshed = services().sessions.refresh(
            call.body["refresh"], device_id=call.device_id, keep=call.ticket.keep if call.ticket.active else None
        )
        return Answer(200, refreshed.body())


class TokenVerify(Endpoint):
    bodies = {"POST": TokenBody}

    @documented("POST", "Is this token good", ok=EmptyAnswer, errors=[*TOKEN_ERRORS, "invalid_request"])
    def post(self, call: Call) -> Answer:
        services().sessions.check(call.body["token"])
        return Answer(200, {})


class Logout(Endpoint):
    bearer = True

    @documented("POST", "End this session", ok=None, ok_status=204, errors=["not_authenticated", *TOKEN_ERRORS])
    def post(self, call: Call) -> Answer:
        services().sessions.logout(call.principal)
        return Answer(204)


class LogoutAll(Endpoint):
    bearer = True

    @documented("POST", "End every session", ok=None, ok_status=204, errors=["not_authenticated", *TOKEN_ERRORS])
    def post(self, call: Call) -> Answer:
        services().sessions.logout_all(call.principal)
        return Answer(204)


class SessionList(Endpoint):
    bearer = True

    @documented("GET", "List live sessions", ok=SessionAnswer(many=True), errors=["not_authenticated", *TOKEN_ERRORS])
    def get(self, call: Call) -> Answer:
        views = services().sessions.list(call.principal)
        return Answer(
            200,
            [
                {
                    "id": view.id,
                    "device_name": view.device_name,
                    "ip": view.ip,
                    "user_agent": view.user_agent,
                    "created_at": view.created_at.isoformat(),
                    "last_used_at": view.last_used_at.isoformat(),
                    "current": view.current,
                }
                for view in views
            ],
        )

    @documented(
        "DELETE", "End all sessions but this one", ok=None, ok_status=204, errors=["not_authenticated", *TOKEN_ERRORS]
    )
    def delete(self, call: Call) -> Answer:
        services().sessions.revoke_others(call.principal)
        return Answer(204)


class SessionOne(Endpoint):
    bearer = True

    @documented(
        "DELETE", "End one session", ok=None, ok_status=204, errors=["not_authenticated", "not_found", *TOKEN_ERRORS]
    )
    def delete(self, call: Call, session_id: str) -> Answer:
        services().sessions.revoke(call.principal, session_id)
        return Answer(204)
