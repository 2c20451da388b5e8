"""A tiny service behind the door: endpoints that echo, fail and count, so that the door is tested without a domain."""

from typing import Any, ClassVar

from cryptography.exceptions import InternalError as OpenSSLError
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe
from rest_framework import serializers

from apps.accounts.api import docs, errors_doc, fields
from apps.accounts.api.endpoint import Answer, Call, Endpoint
from apps.accounts.api.problems import unknown_path
from apps.accounts.api.routes import both
from apps.accounts.api.schema import documented
from apps.accounts.errors import (
    DeliveryFailed,
    InvalidCode,
    InvalidPhoneNumber,
    NotAuthenticated,
    RateLimited,
    ServiceUnavailable,
    TokenInvalid,
)
from apps.accounts.services import statements

handler400 = "apps.accounts.api.problems.handler400"
handler403 = "apps.accounts.api.problems.handler403"
handler404 = "apps.accounts.api.problems.handler404"
handler500 = "apps.accounts.api.problems.handler500"


class EchoBody(serializers.Serializer):
    phone_number = fields.PhoneNumber()
    otp = fields.OtpCode(required=False)
    channel = fields.ChannelField(required=False)
    device_id = fields.DeviceId(required=False)
    device_name = fields.Text(required=False, max_length=16)
    count = fields.Whole(required=False, min_value=1, max_value=9)
    force = fields.Flag(required=False)


class OptionalBody(serializers.Serializer):
    channel = fields.ChannelField(required=False)


class EchoAnswer(serializers.Serializer):
    body = serializers.DictField()


class Echo(Endpoint):
    bodies = {"POST": EchoBody}
    query = frozenset({"window"})

    @documented("POST", "Say it again", ok=EchoAnswer, errors=["invalid_phone_number", "rate_limited"])
    def post(self, call: Call) -> Answer:
        return Answer(200, seen(call), {"RateLimit": '"ip";r=4;t=3600'})

    @documented("GET", "Say who asks", ok=EchoAnswer)
    def get(self, call: Call) -> Answer:
        return Answer(200, seen(call))


def seen(call: Call) -> dict[str, Any]:
    return {
        "body": call.body,
        "query": call.query,
        "client_ip": call.client_ip,
        "device_id": call.device_id,
        "device_name": call.device_name,
        "device_token": call.device_token,
        "language": call.language,
        "user_agent": call.user_agent,
        "request_id": call.request_id,
    }


class Optional(Endpoint):
    bodies = {"POST": OptionalBody}

    def post(self, call: Call) -> Answer:
        return Answer(200, {"body": call.body, "device_id": call.device_id})


class Nothing(Endpoint):
    def post(self, call: Call) -> Answer:
        return Answer(204)

    def delete(self, call: Call) -> Answer:
        return Answer(204)


class One(Endpoint):
    def get(self, call: Call, thing_id: str) -> Answer:
        return Answer(200, {"id": thing_id})


class Hidden(Endpoint):
    def exists(self) -> bool:
        return False

    def post(self, call: Call) -> Answer:
        return Answer(200, {})


class Somebody:
    def __init__(self, name: str) -> None:
        self.session_id = name
        self.step_up = name.startswith("fresh")


class Mine(Endpoint):
    bearer = True

    def authenticate(self, call: Call, raw_token: str) -> Any:
        if raw_token.startswith("bad"):
            raise TokenInvalid
        return Somebody(raw_token)

    def get(self, call: Call) -> Answer:
        return Answer(200, {"who": call.principal.session_id})


class Fresh(Mine):
    step_up = True


class Failing(Endpoint):
    """Fails in the way its path says."""

    def get(self, call: Call, how: str) -> Answer:
        if how == "crash":
            raise ValueError("+966501234567 and 123456 stand in this message")
        if how == "database":
            raise OperationalError("server closed the connection")
        if how == "missing-file":
            raise Http404
        if how == "bare-401":
            raise NotAuthenticated
        raise {
            "delivery": DeliveryFailed(retry_after=3),
            "limited": RateLimited(retry_after=42, scope="ip"),
            "unavailable": ServiceUnavailable(),
            "number": InvalidPhoneNumber(
                fields={"phone_number": ["not_canonical"]}, canonical="+966500000001", challenge={"id": "c1"}
            ),
            "memory": MemoryError(),
            "openssl": OpenSSLError("Unknown OpenSSL error", []),
            "vendor": DeliveryFailed("the vendor said 30003 about +966501234567"),
        }[how]


class OldFailing(Failing):
    successor = "/api/auth/failing/"


class Counting(Endpoint):
    """Counts how often it acts; `act` chooses how it ends."""

    idempotent = True
    acts: ClassVar[int] = 0
    bodies = {"POST": type("CountingBody", (serializers.Serializer,), {"act": fields.Text()})}

    def post(self, call: Call) -> Answer:
        type(self).acts += 1
        act = call.body["act"]
        if act == "wrong":
            raise InvalidCode
        if act == "limited":
            raise RateLimited(retry_after=5, scope="phone")
        if act == "crash":
            raise ValueError("a bug")
        if act == "within":
            with statements.durable():
                call.ticket.keep(200, {"acts": self.acts, "token": "secret-token"})
            return Answer(200, {"acts": self.acts, "token": "secret-token"})
        if act == "dies after commit":
            with statements.durable():
                call.ticket.keep(200, {"acts": self.acts})
            raise SystemExit
        return Answer(200, {"acts": self.acts, "number": "+966501234567"}, {"RateLimit": '"ip";r=4;t=3600'})


class MineCounting(Mine):
    idempotent = True

    def post(self, call: Call) -> Answer:
        return Answer(200, {"who": call.principal.session_id})


def plain_page(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("<h1>staff</h1>")
    response.set_cookie("plain", "1")
    return response


def plain_crash(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("+966501234567")


def plain_suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation


def plain_query(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        if statements.is_postgres():
            cursor.execute("SET statement_timeout = 50; SELECT pg_sleep(5)")
        cursor.execute("SELECT * FROM no_such_table")  # what SQLite calls an operational error
    return HttpResponse()


urlpatterns = [
    both("api/auth/echo/", Echo.as_view(), name="echo"),
    both("api/auth/optional/", Optional.as_view(), name="optional"),
    both("api/auth/nothing/", Nothing.as_view(), name="nothing"),
    both("api/auth/one/<opaque:thing_id>/", One.as_view(), name="one"),
    both("api/auth/hidden/", Hidden.as_view(), name="hidden"),
    both("api/auth/mine/", Mine.as_view(), name="mine"),
    both("api/auth/fresh/", Fresh.as_view(), name="fresh"),
    both("api/auth/counting/", Counting.as_view(), name="counting"),
    both("api/auth/mine-counting/", MineCounting.as_view(), name="mine-counting"),
    both("api/auth/failing/<slug:how>/", Failing.as_view(), name="failing"),
    both("api/mobile/failing/<slug:how>/", OldFailing.as_view(), name="old-failing"),
    both("api/schema/", docs.schema, name="schema"),
    both("api/docs/", docs.browse, name="docs"),
    both("errors/", errors_doc.index, name="errors"),
    path("errors/style.css", errors_doc.style, name="errors-style"),
    both("errors/<slug:code>/", errors_doc.page, name="error"),
    path("healthz", plain_page, name="healthz"),
    path("plain/reading", require_safe(plain_page), name="plain-reading"),
    path("admin/page", plain_page, name="staff-page"),
    path("api/cookie", plain_page, name="cookie"),
    path("plain/crash", plain_crash, name="plain-crash"),
    path("plain/suspicious", plain_suspicious, name="plain-suspicious"),
    path("plain/query", plain_query, name="plain-query"),
    unknown_path(),
]
