"""The bodies of the operators' endpoints and the shapes of their answers.

Bodies use the strict fields of accounts; answers are described only. It must not know what a member is good for.
"""

from typing import Any

from rest_framework import serializers

from apps.accounts.api.fields import Flag, Note, OneOf, OpaqueId, PhoneNumber, Text, Whole

LEVELS = ("ok", "degraded", "down")
REDIS_STATES = ("redis connected", "memory fallback", "Redis unavailable", "not configured")
GATEWAY_STATES = ("up", "cooling", "demoted", "misconfigured", "forced")


class AuditWordAnswer(serializers.Serializer[Any]):
    finding = serializers.ChoiceField(choices=["ok", "note", "warning", "fault"])
    at = serializers.DateTimeField()


class GatewayAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    channels = serializers.ListField(child=serializers.ChoiceField(choices=["sms", "whatsapp"]))
    state = serializers.ChoiceField(choices=GATEWAY_STATES)
    primary = serializers.BooleanField()
    audit = AuditWordAnswer(required=False, help_text="What the last `otp_audit` found; absent before the first.")


class LimitAnswer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(help_text="0 is off.")
    window_seconds = serializers.IntegerField()


class RateLimitsAnswer(serializers.Serializer[Any]):
    store = serializers.ChoiceField(choices=["redis", "memory", "none"], help_text="none: sends are refused.")
    phone = LimitAnswer()
    ip = LimitAnswer()
    device = LimitAnswer()
    cooldown_seconds = serializers.IntegerField()


class WhatsAppAnswer(serializers.Serializer[Any]):
    templateApproved = serializers.BooleanField()  # noqa: N815  # the wire's spelling
    rateLimitDoc = serializers.CharField(allow_blank=True)  # noqa: N815


class ServiceStatusAnswer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=LEVELS)
    redis = serializers.ChoiceField(choices=REDIS_STATES)
    database = serializers.ChoiceField(choices=["connected", "unavailable"])
    rateLimits = RateLimitsAnswer()  # noqa: N815
    providers = GatewayAnswer(many=True)
    whatsapp = WhatsAppAnswer()


class HealthAnswer(serializers.Serializer[Any]):
    status = serializers.CharField()


class GatewayShortAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=GATEWAY_STATES)


class ReadinessAnswer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ready", "not ready"])
    database = serializers.ChoiceField(choices=["connected", "unavailable"])
    migrations = serializers.ChoiceField(choices=["applied", "missing", "unknown"])
    code_secret = serializers.ChoiceField(choices=["shared", "differs", "unknown"])
    redis = serializers.ChoiceField(choices=REDIS_STATES)
    providers = GatewayShortAnswer(many=True)


BLOCK_TYPES = ("phone", "ip", "device", "prefix")
# Ten years: whoever wants longer leaves it out.
LONGEST_SECONDS = 315_360_000


class BlockBody(serializers.Serializer[Any]):
    type = OneOf(choices=BLOCK_TYPES)
    value = Text(min_length=1, max_length=128, help_text="E.164, an address or CIDR, a device id, or + and 1-14 digits")
    note = Note(required=False, max_length=255)
    expires_in = Whole(required=False, min_value=1, max_value=LONGEST_SECONDS, help_text="seconds; default: for good")
    force = Flag(required=False, help_text="also where it would hold off everybody, or the caller")


class LiftBody(serializers.Serializer[Any]):
    type = OneOf(required=False, choices=BLOCK_TYPES)
    value = Text(required=False, min_length=1, max_length=128)
    id = OpaqueId(required=False, help_text="of an entry in the list, instead of type and value")
    note = Note(required=False, max_length=255)


class BlockAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    type = serializers.ChoiceField(choices=BLOCK_TYPES)
    value = serializers.CharField(help_text="A number is masked.")
    note = serializers.CharField(allow_blank=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class BlockListAnswer(serializers.Serializer[Any]):
    entries = BlockAnswer(many=True, help_text="Newest first, at most 1000.")
    total = serializers.IntegerField()


class ReadOutBody(serializers.Serializer[Any]):
    phone_number = PhoneNumber(help_text="E.164")
    note = Note(max_length=255, help_text="why, in 10 characters or more")


class RevokeBody(serializers.Serializer[Any]):
    note = Note(required=False, min_length=1, max_length=255, help_text="of every code and session to end; or")
    session_id = OpaqueId(required=False, help_text="one session; a note beside it is only recorded")


class ReadOutAnswer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="Read it out; it is shown this once.")
    expires_in = serializers.IntegerField()
    challenge_id = serializers.CharField()


class ReadOutCodeAnswer(serializers.Serializer[Any]):
    challenge_id = serializers.CharField(allow_null=True)
    phone_number = serializers.CharField(help_text="Masked.")
    operator = serializers.CharField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    status = serializers.ChoiceField(choices=["open", "used", "revoked", "expired"])


class ReadOutSessionAnswer(serializers.Serializer[Any]):
    session_id = serializers.CharField()
    phone_number = serializers.CharField(help_text="Masked.")
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)


class ReadOutListAnswer(serializers.Serializer[Any]):
    codes = ReadOutCodeAnswer(many=True)
    sessions = ReadOutSessionAnswer(many=True)


class RevokedAnswer(serializers.Serializer[Any]):
    revoked = serializers.IntegerField()


class ExplainBody(serializers.Serializer[Any]):
    q = Text(min_length=1, max_length=64, help_text="a support code, a challenge id or a phone number")


class TimelineEntry(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    event = serializers.CharField()
    outcome = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)


class ExplainAnswer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="Opaque; the same wherever this number is shown.")
    phone_number = serializers.CharField(help_text="Masked.")
    timeline = TimelineEntry(many=True, help_text="Oldest first.")
    next_action = serializers.CharField()


class AffectedPerson(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="Opaque; the same wherever this number is shown.")
    phone_number = serializers.CharField(help_text="Masked.")
    first_request_at = serializers.DateTimeField()
    outcome = serializers.ChoiceField(
        choices=["refused_by_us", "not_sent", "not_delivered", "wrong_codes", "not_proven", "in_later"]
    )


class AffectedAnswer(serializers.Serializer[Any]):
    people = AffectedPerson(many=True, help_text="By their first request, at most 1000.")
    total = serializers.IntegerField()


class ProviderBody(serializers.Serializer[Any]):
    provider = Text(min_length=1, max_length=16, help_text="the name of a configured gateway")
    note = Note(required=False, max_length=255)
    expires_in = Whole(
        required=False, min_value=1, max_value=LONGEST_SECONDS, help_text="seconds; default: until lifted"
    )


class LiftProviderBody(serializers.Serializer[Any]):
    note = Note(required=False, max_length=255)


class ChoiceAnswer(serializers.Serializer[Any]):
    provider = serializers.CharField()
    note = serializers.CharField(allow_blank=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class ProviderAnswer(serializers.Serializer[Any]):
    choice = ChoiceAnswer(allow_null=True, help_text="In force now.")
    providers = GatewayAnswer(many=True)


class LiftedAnswer(serializers.Serializer[Any]):
    lifted = serializers.BooleanField(help_text="Whether a choice was in force.")
