"""People: accounts, their sessions and devices, and the keys that sign their tokens."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils import timezone


def opaque_id() -> str:
    """Return 128 random bits as 32 hex characters."""
    return uuid.uuid4().hex


class UserManager(BaseUserManager["User"]):
    """Makes accounts; staff get a password, people with a phone never do."""

    def create_user(self, username: str, password: str | None = None, **fields: object) -> "User":
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **fields: object) -> "User":
        return self.create_user(
            username, password, **{"is_staff": True, "is_superuser": True, "role": "staff", **fields}
        )


class User(AbstractBaseUser, PermissionsMixin):
    """An account. `phone_number` is empty once the number left it (deleted, parked, moved)."""

    username = models.CharField(max_length=150, unique=True)
    phone_number = models.CharField(max_length=16, unique=True, null=True, blank=True)
    subject = models.CharField(max_length=32, unique=True, default=opaque_id, editable=False)
    role = models.CharField(max_length=32, default="customer")
    phone_verified = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_test = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(null=True, blank=True)  # last login or refresh: silence is counted from here
    deleted_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    parked_at = models.DateTimeField(null=True, blank=True)
    parked_phone = models.CharField(max_length=16, blank=True, default="")  # its number before it was parked or deleted

    objects = UserManager()
    USERNAME_FIELD = "username"

    class Meta:
        indexes = [
            models.Index(fields=["deleted_at"], name="user_deleted", condition=models.Q(deleted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"account {self.pk}"


class Session(models.Model):
    """A login on a device. The row decides what its tokens are worth; the tokens only name it."""

    id = models.CharField(primary_key=True, max_length=32, default=opaque_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    device_id = models.CharField(max_length=128, blank=True, default="")
    device_name = models.CharField(max_length=128, blank=True, default="")
    ip = models.CharField(max_length=45, blank=True, default="")
    user_agent = models.CharField(max_length=256, blank=True, default="")
    amr = models.CharField(max_length=32, default="otp,sms")
    is_test = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    auth_time = models.DateTimeField()
    last_used_at = models.DateTimeField()
    expires_at = models.DateTimeField()  # absolute end
    generation = models.IntegerField(default=0)
    refresh_hash = models.CharField(max_length=64)  # SHA-256 of the live refresh token's id
    previous_hash = models.CharField(max_length=64, blank=True, default="")
    rotated_at = models.DateTimeField(null=True, blank=True)
    successor = models.TextField(blank=True, default="")  # the live pair, encrypted under the previous token
    used_generation = models.IntegerField(default=0)  # newest generation whose access or refresh token was used here
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=32, blank=True, default="")
    note = models.CharField(max_length=255, blank=True, default="")  # of a session that support opened

    class Meta:
        indexes = [
            # None on last_used_at: each refresh changes it, and would write every index of the row anew.
            models.Index(fields=["expires_at"], name="session_expiry"),
        ]


class DeviceToken(models.Model):
    """A device that has logged in to this account before: the key to the trusted lane."""

    id = models.CharField(primary_key=True, max_length=32, default=opaque_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="device_tokens")
    phone = models.CharField(max_length=16)
    device_id = models.CharField(max_length=128, blank=True, default="")
    secret_hash = models.CharField(max_length=64, unique=True)
    previous_hash = models.CharField(max_length=64, blank=True, default="", db_index=True)
    session = models.ForeignKey(Session, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)


class SigningKey(models.Model):
    """A key that signs access tokens. `private` is encrypted under a key derived from SECRET_KEY."""

    kid = models.CharField(primary_key=True, max_length=32)
    algorithm = models.CharField(max_length=8)
    public = models.TextField()  # JWK as JSON
    private = models.TextField()
    created_at = models.DateTimeField()
    signs_from = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)  # no longer signs; still verifies until `drops_at`
    drops_at = models.DateTimeField(null=True, blank=True)


class RecycledClaim(models.Model):
    """A number proved itself after long silence: who holds the account now? The ticket is stored as a hash."""

    class State(models.TextChoices):
        OPEN = "open"  # the ticket has not been used
        WAITING = "waiting"  # "mine": waits for the hold, or for a known device
        GRANTED = "granted"
        OBJECTED = "objected"
        CLOSED = "closed"  # "new" was chosen, or the ticket ran out

    id = models.CharField(primary_key=True, max_length=32, default=opaque_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="claims")
    phone = models.CharField(max_length=16, db_index=True)
    ticket_hash = models.CharField(max_length=64, unique=True)
    device_id = models.CharField(max_length=128, blank=True, default="")
    channel = models.CharField(max_length=8, default="sms", db_default="sms")  # that the number was proven by
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    ticket_expires_at = models.DateTimeField()
    available_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
