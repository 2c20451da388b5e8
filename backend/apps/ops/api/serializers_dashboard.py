"""The shape of the dashboard's answer, for the OpenAPI document. It must not know what a member is good for."""

from typing import Any

from rest_framework import serializers

from apps.ops.api.serializers import ServiceStatusAnswer


class SpreadAnswer(serializers.Serializer[Any]):
    p50 = serializers.FloatField(allow_null=True, help_text="Seconds; null where nothing was measured.")
    p95 = serializers.FloatField(allow_null=True)


class CountersAnswer(serializers.Serializer[Any]):
    requested = serializers.IntegerField(help_text="Requests and resends that were admitted.")
    sent = serializers.IntegerField(help_text="Messages that a gateway took.")
    delivered = serializers.IntegerField(help_text="Messages of which a receipt says so.")
    failed = serializers.IntegerField(help_text="Tries at gateways that failed, at once or by a receipt.")
    verified = serializers.IntegerField(help_text="Codes that were proven.")
    expired = serializers.IntegerField(help_text="Codes whose life ended unused.")
    rate_limited = serializers.IntegerField(help_text="Calls that a limit refused.")
    blocked = serializers.IntegerField(help_text="Calls that the block list refused.")


class GatewayTrafficAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    channel = serializers.ChoiceField(choices=["sms", "whatsapp"])
    sent = serializers.IntegerField()
    delivered = serializers.IntegerField()
    failed = serializers.IntegerField()
    verified = serializers.IntegerField()
    latency = SpreadAnswer(help_text="Of a try at the gateway.")
    weight = serializers.FloatField(help_text="Share of its usual traffic that it gets now, on its worst route.")


class CountryAnswer(serializers.Serializer[Any]):
    country = serializers.CharField(help_text="ISO 3166; ZZ is no country's.")
    requested = serializers.IntegerField()
    sent = serializers.IntegerField()
    delivered = serializers.IntegerField()
    failed = serializers.IntegerField()
    verified = serializers.IntegerField()
    conversion = serializers.FloatField(allow_null=True)


class PointAnswer(CountersAnswer):
    minute = serializers.DateTimeField(help_text="Where it begins; wide windows have wider points.")


class CountrySpendAnswer(serializers.Serializer[Any]):
    country = serializers.CharField()
    today = serializers.FloatField()
    daily_limit = serializers.FloatField(help_text="0 is none.")


class SpendAnswer(serializers.Serializer[Any]):
    window = serializers.FloatField(help_text="In the price table's currency.")
    today = serializers.FloatField(help_text="Since midnight, UTC.")
    daily_limit = serializers.FloatField(help_text="0 is none.")
    countries = CountrySpendAnswer(many=True)


class EventAnswer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(choices=["gateway", "operator", "guard", "release"])
    event = serializers.CharField()
    subject = serializers.CharField(help_text="A number is masked.")
    by = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    detail = serializers.DictField()


class AuditLineAnswer(serializers.Serializer[Any]):
    check = serializers.CharField()
    finding = serializers.ChoiceField(choices=["ok", "note", "warning", "fault"])
    advice = serializers.CharField()
    value = serializers.CharField(allow_null=True)


class GatewayAuditAnswer(serializers.Serializer[Any]):
    provider = serializers.CharField()
    at = serializers.DateTimeField()
    finding = serializers.ChoiceField(choices=["ok", "note", "warning", "fault"])
    lines = AuditLineAnswer(many=True)


class DashboardAnswer(serializers.Serializer[Any]):
    status = ServiceStatusAnswer()
    window_seconds = serializers.IntegerField()
    counters = CountersAnswer()
    conversion = serializers.FloatField(allow_null=True, help_text="Share of the codes asked for that were used.")
    time_to_login = SpreadAnswer(help_text="From asking for the code to the login.")
    providers = GatewayTrafficAnswer(many=True)
    countries = CountryAnswer(many=True)
    series = PointAnswer(many=True)
    spend = SpendAnswer()
    events = EventAnswer(many=True, help_text="Newest first, at most 200.")
    audits = GatewayAuditAnswer(many=True, help_text="The last audit of each gateway (otp_audit).")
