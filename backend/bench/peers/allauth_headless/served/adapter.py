"""What django-allauth asks of a site with phone numbers. It must not know who calls."""

import requests
from allauth.account.adapter import DefaultAccountAdapter
from django.db import connection
from requests.adapters import HTTPAdapter

from bench.peers.allauth_headless.served import settings
from bench.peers.allauth_headless.served.models import User

_gateway = requests.Session()
_gateway.mount("http://", HTTPAdapter(pool_maxsize=settings.THREADS))
_gateway.trust_env = False


class PhoneAdapter(DefaultAccountAdapter):
    """Keeps the number in the user's row and hands codes to the bench's gateway, as the floor does."""

    def set_phone(self, user: User, phone: str, verified: bool) -> None:
        """Give the user a number."""
        user.phone, user.phone_verified = phone, verified
        user.save(update_fields=["phone", "phone_verified"])

    def get_phone(self, user: User) -> tuple[str, bool] | None:
        """Return the user's number and whether it is verified."""
        return (user.phone, user.phone_verified) if user.phone else None

    def set_phone_verified(self, user: User, phone: str) -> None:
        """Note that the number is the user's."""
        self.set_phone(user, phone, True)

    def get_user_by_phone(self, phone: str) -> User | None:
        """Return who has the number."""
        return User._default_manager.filter(phone=phone).first()

    def send_verification_code_sms(self, user: User, phone: str, code: str, **kwargs: object) -> None:
        """Send a code to a number."""
        if not connection.in_atomic_block:
            # The pool would keep the connection until the answer, a whole gateway call too long.
            connection.close()
        answer = _gateway.post(
            f"{settings.GATEWAY_URL}/send-otp",
            json={"method": "sms", "phone": phone, "template_id": 1, "otp": code},
            headers={"X-Authorization": "peer", "Accept": "application/json"},
            timeout=(1, 4),
            allow_redirects=False,
        )
        if answer.status_code != 200 or answer.json().get("success") is not True:
            raise RuntimeError("the gateway refused")
