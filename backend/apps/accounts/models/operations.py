"""What operators did and decided, what was audited, and which answers are kept for a safe retry."""

from django.db import models

from apps.accounts.models.people import opaque_id


class Block(models.Model):
    """An entry of the block list. `value` is canonical: E.164, prefix, CIDR or device id.

    A lifted entry stays for a while, so that every process hears of it; `revision` numbers the change (ChangeCounter).
    """

    class Type(models.TextChoices):
        PHONE = "phone"
        IP = "ip"
        DEVICE = "device"
        PREFIX = "prefix"

    ref = models.CharField(max_length=32, default=opaque_id, editable=False)  # what operators see
    type = models.CharField(max_length=6, choices=Type.choices)
    value = models.CharField(max_length=128)
    note = models.CharField(max_length=255, blank=True, default="")
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    revision = models.BigIntegerField(default=0, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["type", "value"], name="block_once")]


class ChangeCounter(models.Model):
    """Numbers the changes of something that processes keep in memory: one row a thing."""

    name = models.CharField(primary_key=True, max_length=16)
    value = models.BigIntegerField(default=0)


class GatewayChoice(models.Model):
    """An operator's hand on the route: `provider` goes first and those before it are set aside. One row at most."""

    provider = models.CharField(max_length=16)
    note = models.CharField(max_length=255, blank=True, default="")
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)


class IdempotencyRecord(models.Model):
    """An answer kept for a repeat. `answer` is encrypted under a key derived from a server secret, key and body."""

    key_hash = models.CharField(primary_key=True, max_length=64)  # SHA-256 of path and key
    body_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=8, default="running")  # running, done
    status = models.IntegerField(default=0)
    answer = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_index=True)
    frees_at = models.DateTimeField()  # a call that died frees its key then


class AuditEvent(models.Model):
    """One security event or operator action, written in the transaction that caused it; append-only."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    event = models.CharField(max_length=48, db_index=True)
    actor = models.CharField(max_length=64)
    subject = models.CharField(max_length=64, blank=True, default="", db_index=True)  # opaque or masked
    note = models.CharField(max_length=255, blank=True, default="")
    request_id = models.CharField(max_length=64, blank=True, default="")
    detail = models.TextField(blank=True, default="{}")  # JSON


class AuditSeal(models.Model):
    """A link of the hash chain over a batch of audit events, `first` to `last` inclusive."""

    first = models.BigIntegerField()
    last = models.BigIntegerField(unique=True)
    count = models.IntegerField()
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["previous"], name="audit_seal_follows_once")]
