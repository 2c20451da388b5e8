"""The peer's user: a phone number that is verified or not. It must not know how it is verified."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models


class User(AbstractBaseUser):
    """Somebody with a phone number; it comes after the row, so it may be missing for a moment."""

    phone = models.CharField(max_length=16, unique=True, null=True)  # noqa: DJ001  # two without one are not alike
    phone_verified = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "phone"
