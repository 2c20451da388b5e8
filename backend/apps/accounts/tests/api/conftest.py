"""A client that sends exactly what a test says, to the stage behind the real door."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, override_settings

from apps.accounts.tests.api import stage

Send = Callable[..., Any]


@pytest.fixture
def send() -> Iterator[Send]:
    """Return `send(method, path, body, content_type=…, **headers)`; a body that is no bytes is sent as JSON."""
    with override_settings(
        ROOT_URLCONF="apps.accounts.tests.api.stage", MIDDLEWARE=["apps.accounts.api.door.Door"], DEBUG=True
    ):
        client = Client(raise_request_exception=False)

        def call(
            method: str, path: str, body: Any = None, *, content_type: str | None = "application/json", **headers: str
        ) -> Any:
            raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            meta: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
            kind = "" if content_type is None or (body is None and content_type == "application/json") else content_type
            return client.generic(method, path, raw, content_type=kind, **{**meta, "CONTENT_TYPE": kind})

        stage.Counting.acts = 0
        yield call


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check that `response` is this problem and return its members."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    members: dict[str, Any] = json.loads(response.content)
    assert members["code"] == code
    assert members["status"] == status
    return members
