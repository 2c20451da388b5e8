"""The error codes as pages and as docs/errors.md, all made from the one table.

`python -m apps.accounts.api.errors_doc` in `backend/` prints docs/errors.md. It must not know when an error is raised.
"""

import html
import re
import sys
from functools import cache
from typing import Final

from django.http import HttpRequest, HttpResponse

from apps.accounts.api.errors import ANSWERS, MethodNotAllowed
from apps.accounts.api.explanations import EXPLANATIONS
from apps.accounts.api.texts import DETAILS
from apps.accounts.errors import NotFound

_INTRODUCTION: Final = (
    "Every error is a JSON problem (RFC 9457, `application/problem+json`). Decide by `code`, which never changes with "
    "the language; show `detail`, which is in the language of `Accept-Language`; quote `request_id` to support. 429 "
    "and 503 carry `Retry-After`, the same seconds as `retry_after`."
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/errors/style.css"></head>
<body><main>{body}</main></body>
</html>
"""
_STYLE: Final = """:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, sans-serif; margin: 0; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { line-height: 1.2; } h2 { font-size: 1.1rem; margin-bottom: 0; }
code { font: 0.95em ui-monospace, monospace; background: rgb(128 128 128 / 15%); padding: 0.1em 0.3em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: start; vertical-align: top; padding: 0.4rem; border-bottom: 1px solid rgb(128 128 128 / 35%); }
"""


def index(request: HttpRequest) -> HttpResponse:
    """Answer the list of all codes."""
    _only_read(request)
    return HttpResponse(_index(), content_type="text/html; charset=utf-8")


def page(request: HttpRequest, code: str) -> HttpResponse:
    """Answer the explanation of one code: where a problem's `type` leads.

    Raises:
        NotFound: there is no such code.
    """
    _only_read(request)
    if code not in ANSWERS:
        raise NotFound
    return HttpResponse(_explanation(code), content_type="text/html; charset=utf-8")


def style(request: HttpRequest) -> HttpResponse:
    """Answer the pages' style."""
    _only_read(request)
    return HttpResponse(_STYLE, content_type="text/css; charset=utf-8")


def markdown() -> str:
    """Return docs/errors.md."""
    lines = [
        "# Error codes",
        "",
        "Generated from the table the service answers with; do not edit.",
        "",
        _INTRODUCTION,
        "",
    ]
    lines += ["| HTTP | code | title |", "|---|---|---|"]
    lines += [f"| {row.status} | [`{code}`](#{code}) | {row.title} |" for code, row in ANSWERS.items()]
    for code, row in ANSWERS.items():
        said = EXPLANATIONS[code]
        lines += ["", f"## {code}", "", f"{row.status} {row.title}: “{DETAILS[code]['en']}”", ""]
        lines += [said.when, "", f"**What to do:** {said.then}"]
    return "\n".join(lines) + "\n"


@cache
def _index() -> str:
    rows = "".join(
        f'<tr><td>{row.status}</td><td><a href="/errors/{code}/"><code>{code}</code></a></td>'
        f"<td>{_rich(row.title)}</td></tr>"
        for code, row in ANSWERS.items()
    )
    head = "<tr><th>HTTP</th><th>code</th><th>title</th></tr>"
    body = f"<h1>Error codes</h1><p>{_rich(_INTRODUCTION)}</p><table>{head}{rows}</table>"
    return _PAGE.format(title="Error codes", body=body)


@cache
def _explanation(code: str) -> str:
    row, said, words = ANSWERS[code], EXPLANATIONS[code], DETAILS[code]
    body = (
        f"<h1><code>{code}</code></h1><p>{row.status} {_rich(row.title)}</p>"
        f'<p>{_rich(words["en"])}</p><p lang="ar" dir="rtl">{_rich(words["ar"])}</p>'
        f"<h2>What happened</h2><p>{_rich(said.when)}</p><h2>What to do</h2><p>{_rich(said.then)}</p>"
        '<p><a href="/errors/">All error codes</a></p>'
    )
    return _PAGE.format(title=code, body=body)


def _rich(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _only_read(request: HttpRequest) -> None:
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("GET, HEAD")


if __name__ == "__main__":
    sys.stdout.write(markdown())
