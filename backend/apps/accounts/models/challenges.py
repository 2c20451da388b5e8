"""Codes, the challenges on them, and the counts that guard them. No code stands in any of these tables."""

from django.db import models

from apps.accounts.models.people import DeviceToken, Session, User, opaque_id


class PhoneLine(models.Model):
    """A phone's own sends in one lane: the authority for its limit. The row is what serialises a phone.

    `lane` is empty for everybody, `device:<id>` for a device token. `sends` and `refunds` are JSON lists of
    epoch milliseconds by the database's clock. `touched_ms` of the common line (lane empty) is never earlier than the
    phone's latest send in any lane: a phone untouched for long enough has neither a counting send nor an open code.
    """

    phone = models.CharField(max_length=16)
    lane = models.CharField(max_length=48, default="")
    sends = models.TextField(default="[]")
    refunds = models.TextField(default="[]")
    touched_ms = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["phone", "lane"], name="phone_line")]


class FailureLane(models.Model):
    """Wrong codes of one lane of a phone. `lane`: `challenge`, `phone`, `device:<id>`.

    `stamps` is a JSON list of epoch milliseconds within trailing 24 hours; `since_login` counts until a login.
    """

    phone = models.CharField(max_length=16)
    lane = models.CharField(max_length=48)
    stamps = models.TextField(default="[]")
    since_login = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["phone", "lane"], name="failure_lane")]


class Code(models.Model):
    """A code that can be derived: its nonce, never its digits. `scope` binds it to a session where the purpose does."""

    class State(models.TextChoices):
        OPEN = "open"
        USED = "used"
        DEAD = "dead"

    class Kind(models.TextChoices):
        SENT = "sent"
        READ_OUT = "readout"
        TEST = "test"

    id = models.CharField(primary_key=True, max_length=32, default=opaque_id, editable=False)
    phone = models.CharField(max_length=16)
    purpose = models.CharField(max_length=16)
    scope = models.CharField(max_length=32, default="", blank=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.SENT)
    nonce = models.CharField(max_length=32)
    key_id = models.CharField(max_length=8)
    state = models.CharField(max_length=4, choices=State.choices, default=State.OPEN)
    bare_attempts = models.IntegerField(default=0)  # wrong tries of calls that name only the phone
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    minted_by = models.CharField(max_length=16, blank=True, default="")  # the gateway that made the code itself
    own_code_sent = models.BooleanField(default=True)  # some gateway carried our own code
    # Tries by phone alone that were given back because the vendor could not be asked.
    vendor_retries = models.IntegerField(default=0, db_default=0)
    operator = models.CharField(max_length=64, blank=True, default="")  # who made a read-out code
    note = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["phone", "purpose", "scope"], name="code_open", condition=models.Q(state="open")),
            models.Index(fields=["created_at"], name="code_created"),
        ]


class Challenge(models.Model):
    """One asker's claim on a code: own id, own tries, own cancel."""

    class Status(models.TextChoices):
        PENDING = "pending"
        VERIFIED = "verified"
        EXPIRED = "expired"
        LOCKED = "locked"
        CANCELED = "canceled"
        UNDELIVERABLE = "undeliverable"
        FAILED = "failed"  # every gateway refused; reads `expired`

    id = models.CharField(primary_key=True, max_length=32, default=opaque_id, editable=False)
    code = models.ForeignKey(Code, on_delete=models.CASCADE, related_name="challenges")
    phone = models.CharField(max_length=16)
    purpose = models.CharField(max_length=16)
    scope = models.CharField(max_length=32, default="", blank=True)
    account = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, db_index=False)
    session = models.ForeignKey(Session, on_delete=models.SET_NULL, null=True, blank=True, db_index=False)
    device_id = models.CharField(max_length=128, blank=True, default="")
    device_token = models.ForeignKey(DeviceToken, on_delete=models.SET_NULL, null=True, blank=True, db_index=False)
    status = models.CharField(max_length=13, choices=Status.choices, default=Status.PENDING)
    attempts = models.IntegerField(default=0)
    vendor_retries = models.IntegerField(default=0)  # tries given back because the vendor could not be asked
    channel = models.CharField(max_length=8, default="sms")
    language = models.CharField(max_length=2, default="en")
    support_code = models.CharField(max_length=9, db_index=True)
    ip = models.CharField(max_length=45, blank=True, default="")
    country = models.CharField(max_length=2, blank=True, default="")
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # Of logins these are empty: an index of the others costs a login nothing.
            models.Index(fields=["account"], name="challenge_account", condition=models.Q(account__isnull=False)),
            models.Index(fields=["session"], name="challenge_session", condition=models.Q(session__isnull=False)),
            models.Index(
                fields=["device_token"], name="challenge_token", condition=models.Q(device_token__isnull=False)
            ),
            models.Index(fields=["phone", "created_at"], name="challenge_phone"),
            models.Index(fields=["created_at"], name="challenge_created"),
        ]
