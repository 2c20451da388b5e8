"""The bodies that come in and the shapes that go out, for the door and for the OpenAPI document.

Bodies use the strict fields of api/fields.py; answers are described only. They must not know what a member is good for.
"""

from rest_framework import serializers

from apps.accounts.api.fields import ChannelField, DeviceId, OneOf, OpaqueId, OtpCode, PhoneNumber, Text

PURPOSES = ("verify_phone", "change_phone", "step_up")


class PhoneRequestBody(serializers.Serializer):
    phone_number = PhoneNumber(help_text="E.164")
    channel = ChannelField(required=False, help_text="default: sms")
    device_id = DeviceId(required=False)
    device_name = Text(required=False, max_length=128)
    proof = Text(required=False, max_length=4096, help_text="the proof service's token; or X-Proof-Token")


class PhoneResendBody(serializers.Serializer):
    either = ("phone_number", "challenge_id")
    phone_number = PhoneNumber(required=False, help_text="this or challenge_id")
    challenge_id = OpaqueId(required=False)
    channel = ChannelField(required=False)
    device_id = DeviceId(required=False)
    device_name = Text(required=False, max_length=128)
    proof = Text(required=False, max_length=4096, help_text="the proof service's token; or X-Proof-Token")


class PhoneVerifyBody(serializers.Serializer):
    either = ("phone_number", "challenge_id")
    phone_number = PhoneNumber(required=False, help_text="this or challenge_id")
    challenge_id = OpaqueId(required=False)
    otp = OtpCode()
    device_id = DeviceId(required=False)
    device_name = Text(required=False, max_length=128)


class OtpRequestBody(serializers.Serializer):
    purpose = OneOf(choices=PURPOSES, required=False, help_text="default: verify_phone")
    phone_number = PhoneNumber(required=False, help_text="change_phone only: the new number")
    channel = ChannelField(required=False)
    proof = Text(required=False, max_length=4096, help_text="the proof service's token; or X-Proof-Token")


class OtpResendBody(serializers.Serializer):
    purpose = OneOf(choices=PURPOSES, required=False)
    challenge_id = OpaqueId(required=False)
    channel = ChannelField(required=False)
    proof = Text(required=False, max_length=4096, help_text="the proof service's token; or X-Proof-Token")


class OtpVerifyBody(serializers.Serializer):
    otp = OtpCode()
    purpose = OneOf(choices=PURPOSES, required=False)
    challenge_id = OpaqueId(required=False)


class RefreshBody(serializers.Serializer):
    refresh = Text(max_length=4096)


class TokenBody(serializers.Serializer):
    token = Text(max_length=4096)


class ChannelOfferAnswer(serializers.Serializer):
    name = serializers.ChoiceField(choices=["sms", "whatsapp"])
    available_in = serializers.IntegerField(help_text="seconds")


class ChallengeAnswer(serializers.Serializer):
    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["pending", "verified", "expired", "locked", "canceled", "undeliverable"])
    purpose = serializers.ChoiceField(choices=["login", *PURPOSES])
    phone_number = serializers.CharField(help_text="masked")
    channel = serializers.ChoiceField(choices=["sms", "whatsapp"])
    delivery = serializers.ChoiceField(choices=["sending", "accepted", "delivered", "failed", "unknown"])
    code_length = serializers.IntegerField()
    expires_in = serializers.IntegerField(help_text="seconds")
    resend_in = serializers.IntegerField(help_text="seconds")
    attempts_left = serializers.IntegerField()
    sends_left = serializers.IntegerField()
    channels = ChannelOfferAnswer(many=True)
    support_code = serializers.CharField()


class SentAnswer(serializers.Serializer):
    message = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")
    resend_in = serializers.IntegerField(help_text="seconds")
    challenge_id = serializers.CharField()
    challenge = ChallengeAnswer()
    is_new_user = serializers.BooleanField(required=False, help_text="only with OTP_DISCLOSE_NEW_USER")


class UserAnswer(serializers.Serializer):
    id = serializers.IntegerField()
    username = serializers.CharField()
    phone_number = serializers.CharField(allow_null=True)
    role = serializers.CharField()
    phone_verified = serializers.BooleanField()


class LoginAnswer(serializers.Serializer):
    """Either a session, or (recycled numbers) `account_choice_required` with a ticket."""

    message = serializers.CharField(required=False)
    access = serializers.CharField(required=False)
    refresh = serializers.CharField(required=False)
    access_expires_in = serializers.IntegerField(required=False, help_text="seconds")
    refresh_expires_in = serializers.IntegerField(required=False, help_text="seconds")
    session_id = serializers.CharField(required=False)
    device_token = serializers.CharField(required=False)
    is_new_user = serializers.BooleanField(required=False)
    user = UserAnswer(required=False)
    account_choice_required = serializers.BooleanField(required=False)
    ticket = serializers.CharField(required=False)
    expires_in = serializers.IntegerField(required=False, help_text="seconds")


class StatusAnswer(serializers.Serializer):
    authenticated = serializers.BooleanField()
    user = UserAnswer()
    phone_verified = serializers.BooleanField()
    account_active = serializers.BooleanField()
    session_id = serializers.CharField()


class RefreshAnswer(serializers.Serializer):
    access = serializers.CharField()
    refresh = serializers.CharField()
    access_expires_in = serializers.IntegerField(help_text="seconds")
    refresh_expires_in = serializers.IntegerField(help_text="seconds")


class EmptyAnswer(serializers.Serializer):
    """`{}`"""


class SessionAnswer(serializers.Serializer):
    id = serializers.CharField()
    device_name = serializers.CharField()
    ip = serializers.CharField()
    user_agent = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField()
    current = serializers.BooleanField()
