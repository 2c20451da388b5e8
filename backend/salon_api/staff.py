"""Django's session, CSRF, authentication and message middlewares, for the staff pages only.

API answers set no cookie and accept none, so every other path passes by. It must not know what the pages show.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

# `/admin/otp/…` is the operators' API: a token in a header, no cookie.
STAFF_PREFIX = "/admin/"
API_PREFIX = "/admin/otp/"


def is_staff_path(path: str) -> bool:
    """Say whether `path` is one of Django's own staff pages or ours."""
    return path.startswith(STAFF_PREFIX) and not path.startswith(API_PREFIX)


class _StaffOnly:
    get_response: Any  # Django's stubs type it by the asynchronous half, which is not used here

    def __call__(self, request: HttpRequest) -> Any:
        if not is_staff_path(request.path_info):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # the mixin's other base has it


class StaffSessions(_StaffOnly, SessionMiddleware):
    pass


class StaffCsrf(_StaffOnly, CsrfViewMiddleware):
    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        return super().process_view(request, *args) if is_staff_path(request.path_info) else None


class StaffAuthentication(_StaffOnly, AuthenticationMiddleware):
    def process_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return None


class StaffMessages(_StaffOnly, MessageMiddleware):
    pass


class StaffFrames(_StaffOnly, XFrameOptionsMiddleware):
    """No other site may show a staff page in a frame and lay its own buttons over it."""


class StaffStatic(WhiteNoiseMiddleware):
    """Serves static files; answers nothing else."""
