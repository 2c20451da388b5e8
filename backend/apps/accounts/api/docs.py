"""The OpenAPI document and a page to browse it, served by us alone: no script or style comes from anywhere else.

It must not know an endpoint.
"""

import base64
import hashlib
import html
import threading
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from drf_spectacular.generators import SchemaGenerator

from apps.accounts.api import errors

_MAKING: Final = threading.Lock()
_SCRIPT: Final = (
    "window.addEventListener('load', () => SwaggerUIBundle({"
    "url: document.getElementById('swagger-ui').dataset.url, dom_id: '#swagger-ui', deepLinking: true, "
    "docExpansion: 'list', defaultModelsExpandDepth: 0, tryItOutEnabled: true}));"
)
_SCRIPT_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
# Swagger UI sets styles on elements as it draws them.
_POLICY: Final = (
    f"default-src 'none'; script-src 'self' '{_SCRIPT_HASH}'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DIST: Final = "drf_spectacular_sidecar/swagger-ui-dist/"
_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: API</title><link rel="stylesheet" href="{css}"><link rel="icon" href="{icon}"></head>
<body><main id="swagger-ui" data-url="/api/schema/"><noscript>
<p>The document itself: <a href="/api/schema/">OpenAPI</a>,
the errors: <a href="/errors/">error codes</a>.</p></noscript></main>
<script src="{bundle}"></script><script>{script}</script></body>
</html>
"""


def schema(request: HttpRequest) -> HttpResponse:
    """Answer the OpenAPI document as JSON."""
    only_read(request)
    # Made by one at a time: it takes most of a second of a core, and its generator loads its parts in a way that fails
    # when two threads do it at once.
    with _MAKING:
        made = document()
    return HttpResponse(made, content_type="application/vnd.oai.openapi+json; charset=utf-8")


def browse(request: HttpRequest) -> HttpResponse:
    """Answer the page that shows the document and lets one try it."""
    only_read(request)
    page = _PAGE.format(
        title=html.escape(settings.OTP.app_name),
        css=static(_DIST + "swagger-ui.css"),
        icon=static(_DIST + "favicon-32x32.png"),
        bundle=static(_DIST + "swagger-ui-bundle.js"),
        script=_SCRIPT,
    )
    response = HttpResponse(page, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@cache
def document() -> bytes:
    """Return the OpenAPI document of all endpoints, made once per process."""
    generator: Any = SchemaGenerator  # untyped
    return errors.to_json(generator().get_schema(request=None, public=True))


def only_read(request: HttpRequest) -> None:
    """Refuse every method but GET and HEAD.

    Raises:
        MethodNotAllowed: with what is allowed.
    """
    if request.method not in ("GET", "HEAD"):
        raise errors.MethodNotAllowed("GET, HEAD")
