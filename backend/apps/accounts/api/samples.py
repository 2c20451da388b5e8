"""A sample of every body and answer, made of its serializer, for the OpenAPI document.

It must not know an endpoint; a member that looks the same everywhere has its sample here, once.
"""

from collections.abc import Mapping
from typing import Any, Final

from rest_framework import serializers

_AT: Final = "2026-05-04T09:30:00Z"
_LATER: Final = "2026-05-04T10:30:00Z"
_ID: Final = "5f0c3b7e9a1d4c62b8e7f4a3d2c1b0a9"
_TOKEN: Final = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"
_MEMBERS: Final[Mapping[str, Any]] = {
    "access": _TOKEN,
    "refresh": _TOKEN,
    "token": _TOKEN,
    "access_expires_in": 600,
    "refresh_expires_in": 2_592_000,
    "expires_in": 600,
    "resend_in": 60,
    "available_in": 60,
    "attempts_left": 5,
    "sends_left": 2,
    "code_length": 6,
    "id": _ID,
    "challenge_id": _ID,
    "session_id": _ID,
    "ticket": _ID,
    "support_code": "K7QX-2M9P",
    "message": "Done.",
    "otp": "123456",
    "code": "123456",
    "username": "user_966501234567",
    "role": "customer",
    "device_id": "6c84fb90-12c4-11e1",
    "device_name": "Sara's phone",
    "device_token": "dt_3Zr0t8Qm5vXw1YbNcE6hKg",
    "user_agent": "Salon/3.2 (iOS 19)",
    "ip": "203.0.113.7",
    "created_at": _AT,
    "at": _AT,
    "minute": _AT,
    "first_request_at": _AT,
    "exported_at": _AT,
    "last_used_at": _LATER,
    "expires_at": _LATER,
    "available_at": _LATER,
    "created_by": "amal",
    "operator": "amal",
    "by": "amal",
    "note": "Incident 123: text messages are late",
    "provider": "twilio",
    "name": "twilio",
    "country": "SA",
    "value": "203.0.113.0/24",
    "q": "K7QX-2M9P",
    "event": "code.sent",
    "outcome": "accepted",
    "next_action": "Ask the person to wait a minute and to ask again.",
    "weight": 1.0,
    "conversion": 0.93,
    "status": "ok",
}
_MASKED: Final = "+966*****567"
_NUMBER: Final = "+966501234567"
# What a member says in one body and nowhere else.
_THERE: Final[Mapping[tuple[str, str], Any]] = {
    ("UserAnswer", "phone_number"): _NUMBER,
    ("SentAnswer", "message"): "Verification code sent successfully",
    ("LoginAnswer", "message"): "Authentication successful",
    ("HealthAnswer", "status"): "alive",
    ("BlockAnswer", "type"): "ip",
    ("LiftBody", "type"): "ip",
    ("KeySetAnswer", "keys"): [
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "zGOiqntI-YNjnE0_ZJDHSDJ6lYAHEL2lps064NbZvho",
            "y": "2aDoixrsOXBZpdDGlSxX6_EQUXoeMbXfcjr0FRVOAIw",
            "kid": "8Jn2p7Faga3unmqBSAp9Zg",
            "alg": "ES256",
            "use": "sig",
        }
    ],
}
# What an answer says only where it was asked to say more.
_UNSAID: Final = frozenset({("SentAnswer", "is_new_user")})
# What a request need not say, and one that says everything would say twice.
_LEFT_OUT: Final = frozenset({"proof", "challenge_id", "device_name", "force", "session_id"})


def of_answers(shape: Any) -> dict[str, Any]:
    """Return the samples of an answer by name; none where it has no body."""
    if shape is None:
        return {}
    if shape is str:
        return {"usual": "1158201444"}
    if isinstance(shape, serializers.ListSerializer):  # spectacular puts the sample of a list into a list itself
        shape = shape.child
    names = set(getattr(shape, "_declared_fields", ()))
    if "account_choice_required" not in names:
        return {"usual": of_answer(shape)}
    asks = {"account_choice_required", "ticket", "expires_in"}
    return {
        "a session": of_answer(shape, without=frozenset(asks)),
        "a number that may have changed hands": of_answer(shape, without=frozenset(names - asks)),
    }


def of_answer(shape: Any, *, without: frozenset[str] = frozenset()) -> Any:
    """Return a sample of an answer of `shape`: a serializer, its class, or one with `many=True`."""
    serializer = shape() if isinstance(shape, type) else shape
    if isinstance(serializer, serializers.ListSerializer):
        return [of_answer(serializer.child, without=without)]
    return {
        name: _member(name, field)
        for name, field in serializer.fields.items()
        if name not in without and (type(serializer).__name__, name) not in _UNSAID
    }


def of_body(shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return a sample of a request's body: what is required, and what people usually add."""
    members = shape().fields
    left_out = {name for name, field in members.items() if name in _LEFT_OUT and not field.required}
    if "phone_number" not in members and "challenge_id" in members:
        left_out.discard("challenge_id")
    return {
        name: _NUMBER if name == "phone_number" else _member(name, field)
        for name, field in members.items()
        if name not in left_out
    }


def _member(name: str, field: Any) -> Any:
    if (there := (type(field.parent).__name__, name)) in _THERE:
        return _THERE[there]
    if isinstance(field, serializers.BaseSerializer):
        return of_answer(field)
    if isinstance(field, serializers.ListField):
        return [_member(name, field.child)]
    if isinstance(field, serializers.ChoiceField):
        return next(iter(field.choices))
    if name == "phone_number":
        return _MASKED
    if isinstance(field, serializers.BooleanField):
        return True
    if isinstance(field, serializers.IntegerField) and not isinstance(_MEMBERS.get(name), int):
        return 3
    return _MEMBERS[name] if name in _MEMBERS else _by_type(field)


def _by_type(field: Any) -> Any:
    if isinstance(field, serializers.DictField):
        return {}
    if isinstance(field, serializers.FloatField):
        return 1.5
    return _AT if isinstance(field, serializers.DateTimeField) else "text"
