"""What was handed to gateways: one row an attempt, committed before the call, its outcome after it."""

from django.db import models

from apps.accounts.models.challenges import Challenge, Code
from apps.accounts.models.people import opaque_id


class Message(models.Model):
    """One try at one gateway. `sending` that was never finished reads as `unknown` after the send deadline.

    Every other state is final until a receipt says more: `accepted` of a gateway that reports nothing stays `accepted`,
    because nobody will ever know more.
    """

    class State(models.TextChoices):
        SENDING = "sending"
        ACCEPTED = "accepted"
        DELIVERED = "delivered"
        FAILED = "failed"
        UNKNOWN = "unknown"

    class Cause(models.TextChoices):
        REQUEST = "request"
        RESEND = "resend"
        RECEIPT = "receipt"  # a receipt said failed: sent on by another gateway
        NOTICE = "notice"
        AUDIT = "audit"
        PROBE = "probe"  # the same code by a cooling gateway, beside a send that another one took

    class SentOn(models.TextChoices):
        """What became of the promise to send the code by another gateway after a receipt said failed."""

        NOT_DUE = "", "not due"
        DUE = "due"
        SENT = "sent"
        FULL = "full"  # the phone's window had no room
        NOBODY = "nobody"  # no gateway was left, or each refused
        MOOT = "moot"  # the code closed, or was on its way already

    id = models.CharField(primary_key=True, max_length=32, default=opaque_id, editable=False)
    # Their indexes are below, with names: one each.
    challenge = models.ForeignKey(
        Challenge, on_delete=models.CASCADE, null=True, blank=True, related_name="messages", db_index=False
    )
    code = models.ForeignKey(
        Code, on_delete=models.CASCADE, null=True, blank=True, related_name="messages", db_index=False
    )
    send_id = models.CharField(max_length=32)  # one admitted request or resend, however many gateways it took
    cause = models.CharField(max_length=8, choices=Cause.choices, default=Cause.REQUEST)
    phone = models.CharField(max_length=16)
    country = models.CharField(max_length=2)
    provider = models.CharField(max_length=16)
    channel = models.CharField(max_length=8)
    state = models.CharField(max_length=9, choices=State.choices, default=State.SENDING)
    vendor_id = models.CharField(max_length=128, blank=True, default="")
    error_kind = models.CharField(max_length=24, blank=True, default="")
    error_code = models.CharField(max_length=32, blank=True, default="")
    latency_ms = models.IntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    receipt_at = models.DateTimeField(null=True, blank=True)
    sent_on = models.CharField(max_length=6, choices=SentOn.choices, blank=True, default="", db_default="")
    sent_on_at = models.DateTimeField(null=True, blank=True)  # when a failed receipt made that promise
    # The message in whose stead this one was sent.
    follows = models.CharField(max_length=32, blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["provider", "vendor_id"], name="message_vendor", condition=~models.Q(vendor_id="")),
            models.Index(fields=["challenge", "created_at"], name="message_challenge"),
            models.Index(fields=["code"], name="message_code"),
            models.Index(fields=["created_at"], name="message_created"),
            models.Index(fields=["created_at"], name="message_sending", condition=models.Q(state="sending")),
            models.Index(fields=["sent_on_at"], name="message_due", condition=models.Q(sent_on="due")),
            models.Index(fields=["send_id"], name="message_notice", condition=models.Q(cause="notice")),
        ]
        constraints = [
            # Whatever else goes wrong: one gateway never carries a code on twice.
            models.UniqueConstraint(
                fields=["code", "provider", "channel"], condition=models.Q(cause="receipt"), name="message_sent_on_once"
            )
        ]


class ReceiptInbox(models.Model):
    """A receipt that came before our own send returned: kept until its message is known, then applied."""

    provider = models.CharField(max_length=16)
    vendor_id = models.CharField(max_length=128)
    status = models.CharField(max_length=9)
    failure = models.CharField(max_length=16, blank=True, default="")
    error_code = models.CharField(max_length=32, blank=True, default="")
    received_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["provider", "vendor_id"], name="inbox_vendor"),
            models.Index(fields=["received_at"], name="inbox_received"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["provider", "vendor_id", "status", "error_code"], name="inbox_once")
        ]


class Notice(models.Model):
    """Something a person is told without having asked. The number is kept only until the notice is out of the house.

    Its tries are messages whose `send_id` is its id.
    """

    class State(models.TextChoices):
        DUE = "due"
        SENT = "sent"
        UNKNOWN = "unknown"
        UNSENT = "unsent"

    id = models.CharField(primary_key=True, max_length=32, default=opaque_id, editable=False)
    kind = models.CharField(max_length=24)
    phone = models.CharField(max_length=16, blank=True, default="")
    language = models.CharField(max_length=2, default="en")
    state = models.CharField(max_length=7, choices=State.choices, default=State.DUE)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="notice_due", condition=models.Q(state="due"))]


class TemplateState(models.Model):
    """What a vendor last said of a language's WhatsApp template, in the vendor's word (`APPROVED`, `PAUSED`, …)."""

    provider = models.CharField(max_length=16)
    language = models.CharField(max_length=2)
    state = models.CharField(max_length=32)
    checked_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "language"], name="template_state")]
