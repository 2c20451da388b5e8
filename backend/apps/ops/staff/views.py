"""The staff's page, its numbers and its acts. Whoever is not staff is led to the login.

It must not know how a number is found, nor what an act does.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import wraps
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse

from apps.accounts.api import parsing, problems
from apps.accounts.api.docs import only_read
from apps.accounts.api.endpoint import ip_of
from apps.accounts.api.errors import MethodNotAllowed
from apps.accounts.api.unavailable import is_unavailable
from apps.accounts.errors import NotAuthenticated
from apps.accounts.services.wiring import services
from apps.ops import present, windows
from apps.ops.board import board
from apps.ops.dashboard import dashboard
from apps.ops.staff import acts, situation
from apps.ops.staff.headline import Headline, headline
from apps.ops.staff.words import plain

_HOUR: Final = timedelta(hours=1)
_RELOAD_SECONDS: Final = 5
View = Callable[[HttpRequest], HttpResponse]
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def staff_page(view: View) -> View:
    """Lead whoever is not staff to the login, and back here after it; without a database there is neither."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not board().standing().database:
            return _without_database()
        try:
            if _is_staff(request):
                return view(request)
        except Exception as error:
            if is_unavailable(error):
                return _without_database()
            raise
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))

    return guarded


def staff_data(view: View) -> View:
    """Answer 401 to whoever is not staff: a script cannot follow a login."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        return view(request) if _is_staff(request) else problems.problem(request, NotAuthenticated())

    return guarded


@staff_page
def page(request: HttpRequest) -> HttpResponse:
    """Show the dashboard; its numbers come by `data`, the headline is in the page itself."""
    only_read(request)
    told = headline(situation.read(dashboard(), board()))
    shown = {
        "app_name": settings.OTP.app_name,
        "version": settings.OTP["APP_VERSION"],
        "headline": told,
        "sentence": plain(told.sentence),
        "since": plain(f"since {{@{told.since.isoformat()}}}") if told.since else "",
        "because": [plain(line) for line in told.because],
        "doing": [plain(line) for line in told.doing],
        "windows": windows.OFFERED,
        "default": windows.DEFAULT,
    }
    response = render(request, "ops/dashboard.html", shown)
    response.headers["Content-Security-Policy"] = POLICY
    return response


@staff_data
def data(request: HttpRequest) -> HttpResponse:
    """Answer everything that the page shows."""
    only_read(request)
    window = windows.parse(parsing.read_query(request, names={"window"}).get("window", windows.DEFAULT))
    look, standing = dashboard(), board()
    facts, now = look.look(window), situation.read(look, standing)
    blocks, total = services().blocks.list(limit=50)
    return JsonResponse(
        {
            **present.as_json(facts, standing, more=True),
            "at": facts.at.isoformat(),
            "step": window.step,
            "headline": _as_json(headline(now)),
            "refusals": _refusals(facts.refusals),
            "failures": [
                {"provider": name, "channel": channel, "kind": kind, "code": code, "count": count}
                for name, channel, kind, code, count in situation.failures(now.now - _HOUR, now.now)
            ],
            "choice": facts.choice.as_json() if facts.choice else None,
            "choosable": sorted(services().providers),
            "blocks": {"entries": [block.as_json() for block in blocks], "total": total},
            "held": [
                {"kind": one.kind, "subject": one.subject, "state": one.state, "reason": one.reason, "mode": one.mode,
                 "until": one.until.isoformat() if one.until else None}
                for one in now.held
            ],
        }
    )  # fmt: skip


@staff_data
def act(request: HttpRequest) -> HttpResponse:
    """Do what one of the page's forms asks, in the name of whoever is logged in."""
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    who = acts.Hand(name=request.user.get_username(), ip=ip_of(request))
    done = acts.act({name: str(value) for name, value in request.POST.items()}, who)
    dashboard().forget()
    board().forget()
    return JsonResponse({"done": done})


def _without_database() -> HttpResponse:
    """Answer a page that needs no database and reloads by itself; it tells nothing that not everybody may know."""
    shown = {"app_name": settings.OTP.app_name, "version": settings.OTP["APP_VERSION"], "seconds": _RELOAD_SECONDS}
    response = HttpResponse(render_to_string("ops/without_database.html", shown), status=503)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Retry-After"] = str(_RELOAD_SECONDS)
    return response


def _is_staff(request: HttpRequest) -> bool:
    user = request.user
    return bool(user.is_authenticated and user.is_active and user.is_staff)


def _as_json(told: Headline) -> dict[str, Any]:
    return {
        "level": told.level.value,
        "sentence": told.sentence,
        "since": told.since.isoformat() if told.since else None,
        "note": told.note,
        "because": list(told.because),
        "doing": list(told.doing),
    }


def _refusals(found: Iterable[tuple[int, str, int]]) -> list[dict[str, Any]]:
    """Return what was refused in the whole window, most first."""
    counts: Counter[str] = Counter()
    for _, label, count in found:
        counts[label] += count
    rows = []
    for label, count in counts.most_common():
        code, _, scope = label.partition("/")
        rows.append({"code": code, "scope": scope, "count": count})
    return rows
