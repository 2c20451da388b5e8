"""Paths that answer with and without their last slash: a redirected POST would lose its body.

It must not know a view.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponseBase
from django.urls import URLPattern, register_converter
from django.urls.resolvers import RoutePattern

View = Callable[..., HttpResponseBase]


class OpaqueIdConverter:
    """An id of ours in a path: whatever else stands there is an unknown path, and never reaches a database."""

    regex = "[A-Za-z0-9_-]{1,64}"

    def to_python(self, value: str) -> str:
        """Return the id as it stands."""
        return value

    def to_url(self, value: str) -> str:
        """Return the id as it stands."""
        return value


register_converter(OpaqueIdConverter, "opaque")


class _EitherSlash(RoutePattern):
    """Matches a route that ends in a slash also without it; `reverse` and the OpenAPI document show it with."""

    def match(self, path: str) -> Any:
        return super().match(path if path.endswith("/") else path + "/")


def both(route: str, view: View, *, name: str, **kwargs: Any) -> URLPattern:
    """Return the pattern of `route` (`api/auth/sessions/<opaque:session_id>/`) with and without the last slash.

    Patterns are tried in order: the busiest paths go first.
    """
    if not route.endswith("/"):
        raise ValueError("a route is given with its last slash")
    return URLPattern(_EitherSlash(route, name=name, is_endpoint=True), view, kwargs, name)
