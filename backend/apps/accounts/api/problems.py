"""The problems of requests that never reach a view of ours: unknown paths, refused forms, crashes.

`salon_api/urls.py` names the handlers, and ends its patterns with `unknown_path()` because Django answers a path that
no pattern knows with a page of its own while DEBUG is on. It must not know any view.
"""

import sys
from collections.abc import Callable
from typing import Any

import structlog
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from apps.accounts.api import errors
from apps.accounts.api.unavailable import is_unavailable
from apps.accounts.errors import AccountsError, InvalidRequest, NotFound, ServiceUnavailable
from apps.accounts.messages import Language

log = structlog.get_logger("otp")


def known(error: BaseException) -> AccountsError | None:
    """Return the refusal that `error` stands for, None where it is a bug."""
    if isinstance(error, AccountsError):
        return error if error.code != "internal_error" else None
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, PermissionDenied):
        return errors.Forbidden()
    if isinstance(error, RequestDataTooBig):
        return errors.BodyTooLarge()
    if isinstance(error, (BadRequest, SuspiciousOperation, MultiPartParserError)):
        return InvalidRequest()
    if is_unavailable(error):
        log.error("otp.unavailable", error=type(error).__name__, sqlstate=_sqlstate(error))
        return ServiceUnavailable()
    return None


def of_exception(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Return the answer to an exception that came out of a view; a bug is logged and says nothing of itself."""
    refusal = known(error)
    if refusal is None:
        report_crash(error)
    return problem(request, refusal or AccountsError())


def problem(request: HttpRequest, error: AccountsError) -> HttpResponse:
    """Return `error` in the request's language."""
    language = Language.negotiate(request.META.get("HTTP_ACCEPT_LANGUAGE"))
    described = errors.describe(error, language=language, request_id=getattr(request, "request_id", ""))
    return errors.answer(described)


def report_crash(error: BaseException) -> None:
    """Log where a bug struck: its class and stack, never its message, which may quote a number or a code."""
    frames = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        frames.append(f"{code.co_filename}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    cause = error.__cause__ or error.__context__
    log.error(
        "otp.crashed",
        error=type(error).__qualname__,
        cause=type(cause).__qualname__ if cause else "",
        stack=frames[-25:],
    )


def quietly(verb: Callable[..., object], *args: Any) -> None:
    """Do what comes after the act; a database that is gone by now does not undo the act, nor its answer."""
    try:
        verb(*args)
    except DatabaseError as error:
        log.error("otp.answer_not_kept", error=type(error).__name__, sqlstate=_sqlstate(error))


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django finds suspicious."""
    return of_exception(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django forbids."""
    return problem(request, errors.Forbidden())


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a path that no pattern knows."""
    return problem(request, NotFound())


def handler500(request: HttpRequest) -> HttpResponse:
    """Answer an exception that came from a middleware: Django calls this while it is being handled."""
    error = sys.exception()
    return of_exception(request, error) if error is not None else problem(request, AccountsError())


@csrf_exempt
def not_found(request: HttpRequest) -> HttpResponse:
    """Answer any path, whatever the method, with 404."""
    return problem(request, NotFound())


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a staff form without its token; for `CSRF_FAILURE_VIEW`."""
    return problem(request, errors.Forbidden())


def unknown_path() -> URLPattern:
    """Return the pattern that goes last."""
    return re_path(r"", not_found, name="unknown")


def _sqlstate(error: BaseException) -> str:
    return str(getattr(error.__cause__, "sqlstate", "") or "")
