"""Bodies and answers of the account's own calls: verification, the choice after silence, claims, export.

They must not know what a member is good for.
"""

from rest_framework import serializers

from apps.accounts.api.fields import DeviceId, OneOf, Text
from apps.accounts.api.serializers import UserAnswer


class VerifiedAnswer(serializers.Serializer):
    """`user` after `verify_phone` and `change_phone`, a token after `step_up`."""

    message = serializers.CharField()
    user = UserAnswer(required=False)
    access = serializers.CharField(required=False, help_text="with `step_up: true`")
    access_expires_in = serializers.IntegerField(required=False, help_text="seconds")


class ChooseBody(serializers.Serializer):
    ticket = Text(max_length=128)
    choice = OneOf(choices=["mine", "new"])
    device_id = DeviceId(required=False)
    device_name = Text(required=False, max_length=128)


class WaitingAnswer(serializers.Serializer):
    available_in = serializers.IntegerField(
        help_text="seconds until an ordinary login opens the account, unless a known device objects"
    )


class ClaimAnswerBody(serializers.Serializer):
    answer = OneOf(choices=["confirm", "object"])


class ClaimAnswer(serializers.Serializer):
    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["waiting", "granted", "objected"])
    phone_number = serializers.CharField(help_text="masked")
    created_at = serializers.DateTimeField()
    available_at = serializers.DateTimeField()
    available_in = serializers.IntegerField(help_text="seconds; 0 unless it waits")


class ExportAnswer(serializers.Serializer):
    """One's own data; times are ISO 8601, and no secret, code or token is in it."""

    exported_at = serializers.DateTimeField()
    account = serializers.DictField()
    sessions = serializers.ListField(child=serializers.DictField())
    devices = serializers.ListField(child=serializers.DictField())
    challenges = serializers.ListField(child=serializers.DictField())
    messages = serializers.ListField(child=serializers.DictField())
    claims = serializers.ListField(child=serializers.DictField())
    events = serializers.ListField(child=serializers.DictField(), help_text="what the audit trail says of the account")


class KeySetAnswer(serializers.Serializer):
    """A JWK set (RFC 7517)."""

    keys = serializers.ListField(child=serializers.DictField())
