"""The door of the staff's pages: how often a password may be tried, and how many are judged at a time.

It must not know what the pages show.
"""

import hmac
import threading
from typing import Any, Final

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm

from apps.accounts.api.call import ip_of
from apps.accounts.services.addresses import ip_networks
from apps.accounts.services.limits import Limit
from apps.accounts.services.wiring import services

TRIES_PER_MINUTE: Final = 10
_MINUTE_MS: Final = 60_000
_TOO_MANY: Final = "Too many tries to log in. Please wait a minute and try again."
_BUSY: Final = "Somebody else is logging in at this moment. Please try again."
# A password costs a quarter of a second of a core to judge, and anybody may ask for that: one at a time in a process
# leaves the rest to people who want a code. Nobody waits for the place, or waiting would take the threads instead.
_PLACE: Final = threading.BoundedSemaphore(1)


class StaffLogin(AdminAuthenticationForm):
    """Django's form, asked only where a limit per address and a place for the work allow it."""

    def clean(self) -> dict[str, Any]:
        """Judge name and password.

        Raises:
            ValidationError: they are wrong, or were not looked at: too many tries, or no place.
        """
        # A form that lacks one of them is not judged by Django either, and costs nothing.
        if not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return super().clean()
        if not _PLACE.acquire(blocking=False):
            raise forms.ValidationError(_BUSY, code="busy")
        try:
            if not self._is_admitted():
                raise forms.ValidationError(_TOO_MANY, code="too_many")
            return super().clean()
        finally:
            _PLACE.release()

    def _is_admitted(self) -> bool:
        assert self.request is not None
        made = services()
        near, _ = ip_networks(ip_of(self.request))
        key = made.config.secret_key.encode()
        subject = hmac.digest(key, b"staff-logins\x00" + near.encode(), "sha256").hex()[:32]
        limit = Limit("staff_logins", subject, TRIES_PER_MINUTE, _MINUTE_MS, always_judged=True)
        return made.limiter.admit([limit]).admitted
