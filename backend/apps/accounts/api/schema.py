"""What the OpenAPI document says of an endpoint: its bodies, its answers, every error with an example, its headers.

It must not know a view; it reads what a view class declares and what `documented` says of its methods.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

from apps.accounts.api import errors, samples, schema_headers
from apps.accounts.errors import AccountsError

View = TypeVar("View", bound=Callable[..., Any])

# What every endpoint may answer, and what goes with a feature of it; `documented` adds the errors of the act itself.
# A host that is not ours is invalid_request anywhere; a DELETE has its body read whether it asks for one or not.
ALWAYS: Final = ("invalid_request", "internal_error", "service_unavailable")
WITH_BODY: Final = ("body_too_large", "unsupported_media_type")
WITH_BEARER: Final = ("not_authenticated", "token_invalid", "token_expired", "session_revoked")
WITH_STEP_UP: Final = ("step_up_required",)
WITH_KEY: Final = ("request_in_progress", "idempotency_key_reused")
SECURITY_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "adminToken": {"type": "apiKey", "in": "header", "name": "X-Admin-Token"},
}
_WAITS: Final[Mapping[str, int]] = {
    "resend_cooldown": 42,
    "rate_limited": 42,
    "too_many_attempts": 42,
    "request_in_progress": 1,
}


class Problem(serializers.Serializer[Any]):
    """An error, as RFC 9457 describes it. `code` is for programs and never changes with the language."""

    type = serializers.CharField(help_text="A path on this service that explains the code.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="For people, in the language of Accept-Language.")
    code = serializers.CharField(help_text="Stable, for programs.")
    error = serializers.CharField(help_text="The same text as detail.")
    request_id = serializers.CharField()
    retry_after = serializers.IntegerField(required=False, help_text="Seconds; the same as Retry-After.")
    fields = serializers.DictField(  # type: ignore[assignment]  # a member of this name, not DRF's own
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What is wrong, by member.",
    )
    challenge = serializers.DictField(required=False)
    canonical = serializers.CharField(required=False, help_text="The spelling of the number that is accepted.")
    scope = serializers.ChoiceField(choices=["phone", "ip", "device", "global"], required=False)
    provider = serializers.ChoiceField(
        choices=["turnstile", "recaptcha"], required=False, help_text="Whose challenge to run before asking again."
    )


@dataclass(frozen=True, slots=True)
class Documentation:
    """What `documented` says of one method."""

    summary: str
    answers: Mapping[int, Any]
    errors: tuple[str, ...]
    examples: Mapping[str, Any]
    request_examples: Mapping[str, Any]
    tags: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


def documented(
    method: str,
    summary: str,
    *,
    ok: Any = None,
    ok_status: int = 200,
    also: Mapping[int, Any] | None = None,
    errors: Iterable[str] = (),
    examples: Mapping[str, Any] | None = None,
    request_examples: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Callable[[View], View]:
    """Say what an endpoint's method answers: `ok` is a serializer (class, or instance with `many=True`), `str` or None.

    `also` maps further good statuses to their serializers; `errors` lists the codes of the act itself, those of body,
    token and key are known; `examples` and `request_examples` map a name to a value; `headers` a response header of
    the good answers to its description.
    """
    unknown = set(errors) - set(_answers())
    if unknown:
        raise ValueError(f"no such error codes: {sorted(unknown)}")
    said = Documentation(
        summary=summary,
        answers={ok_status: ok, **(also or {})},
        errors=tuple(errors),
        examples=examples or {},
        request_examples=request_examples or {},
        tags=tuple(tags),
        headers=headers or {},
    )

    def decorate(view: View) -> View:
        if view.__name__ != method.lower():
            raise ValueError(f"{view.__qualname__} is not the {method} method")
        view.documentation = said  # type: ignore[attr-defined]
        return view

    return decorate


def codes_of(view: Any, method: str) -> list[str]:
    """Return every error code that `method` of `view` (class or instance) may answer, in the table's order."""
    said = documentation_of(view, method)
    found = {*ALWAYS, *(said.errors if said else ())}
    if method in ("POST", "DELETE"):
        found.update(WITH_BODY)
    if view.bearer:
        found.update(WITH_BEARER)
    if view.step_up:
        found.update(WITH_STEP_UP)
    if view.idempotent:
        found.update(WITH_KEY)
    if view.development_only:
        found.add("not_found")
    return [code for code in errors.ANSWERS if code in found]


def documentation_of(view: Any, method: str) -> Documentation | None:
    """Return what `documented` said of `method`."""
    return getattr(getattr(view, method.lower(), None), "documentation", None)


class EndpointSchema(AutoSchema):
    """Describes an Endpoint to drf-spectacular, whose inner workings are untyped."""

    view: Any

    def get_operation_id(self) -> str:
        """Name the operation by its method and path, which no two share."""
        return "_".join([self.method.lower(), *re.findall(r"[A-Za-z0-9]+", self.path)])

    def get_summary(self) -> str | None:
        said = self._said()
        return said.summary if said else None

    def get_description(self) -> str:  # type: ignore[override]
        text: str = getattr(self.view, self.method.lower()).__doc__ or ""
        return text.strip()

    def get_tags(self) -> list[str]:
        said = self._said()
        if said and said.tags:
            return list(said.tags)
        if self.view.successor:
            return ["first mobile API"]
        return [next((tag for word, tag in _TAGS if word in self.path), "login")]

    def get_request_serializer(self) -> Any:
        return self.view.bodies.get(self.method)

    def get_response_serializers(self) -> Any:
        said = self._said()
        found: dict[Any, Any] = dict(_shape(*answer) for answer in said.answers.items()) if said else {200: None}
        for code in codes_of(self.view, self.method):
            found[self._status(code), errors.PROBLEM_TYPE] = Problem
        return found

    def get_examples(self) -> list[OpenApiExample]:
        said = self._said()
        found = [self._error_example(code) for code in codes_of(self.view, self.method)]
        if said is None:
            return found
        for status, shape in said.answers.items():
            for name, value in (said.examples or samples.of_answers(shape)).items():
                found.append(OpenApiExample(name, value=value, response_only=True, status_codes=[str(status)]))
        found += [OpenApiExample(name, value=value, request_only=True) for name, value in self._bodies().items()]
        return found

    def _bodies(self) -> Mapping[str, Any]:
        """Return the samples of the request's body by name."""
        said, body = self._said(), self.view.bodies.get(self.method)
        if said is not None and said.request_examples:
            return said.request_examples
        return {} if body is None else {"usual": samples.of_body(body)}

    def get_override_parameters(self) -> list[Any]:
        view, said = self.view, self._said()
        found = schema_headers.of_requests(view, self.method)
        named = sorted(view.query) if self.method == "GET" else ()
        found += [OpenApiParameter(name, str, OpenApiParameter.QUERY) for name in named]
        waits: dict[int, bool] = {}
        for code in codes_of(view, self.method):
            status = self._status(code)
            waits[status] = waits.get(status, False) or "retry_after" in example_of(code)
        good = sorted(said.answers) if said else [200]
        return found + schema_headers.of_answers(view, good=good, waits=waits, own=said.headers if said else {})

    def get_auth(self) -> list[Any]:
        name = self.view.security_scheme or ("bearer" if self.view.bearer else "")
        if not name:
            return [{}]
        component: Any = ResolvedComponent
        kind, scheme = ResolvedComponent.SECURITY_SCHEMA, dict(SECURITY_SCHEMES[name])
        self.registry.register_on_missing(component(name=name, type=kind, object=name, schema=scheme))
        return [{name: []}]

    def is_deprecated(self) -> bool:
        return bool(self.view.successor)

    def _get_request_body(self, direction: Any = "request") -> Any:
        base: Any = super()
        if self.method != "DELETE" or "DELETE" not in self.view.bodies:
            return base._get_request_body(direction)
        # RFC 9110 leaves a DELETE's body to the server, and ours reads it; spectacular looks at other methods only.
        serializer = self.view.bodies["DELETE"]
        content = {}
        for media_type in self.map_parsers():
            schema, *_ = base._get_request_for_media_type(serializer, direction)
            examples = {name.replace(" ", "-"): {"value": value} for name, value in self._bodies().items()}
            content[media_type] = {"schema": schema, "examples": examples}
        return {"content": content, "required": any(member.required for member in serializer().fields.values())}

    def _said(self) -> Documentation | None:
        return documentation_of(self.view, self.method)

    def _status(self, code: str) -> int:
        return 500 if code == "delivery_failed" and self.view.successor else errors.ANSWERS[code].status

    def _error_example(self, code: str) -> OpenApiExample:
        status = self._status(code)
        return OpenApiExample(
            code,
            value=example_of(code, compatible=bool(self.view.successor)),
            response_only=True,
            status_codes=[str(status)],
            media_type=errors.PROBLEM_TYPE,
        )


class _Sample(AccountsError):
    """An error as a document shows it."""

    def __init__(self, code: str) -> None:
        super().__init__(
            fields=_SAMPLE_FIELDS.get(code),
            retry_after=_WAITS.get(code),
            scope="phone" if code == "rate_limited" else None,
            canonical="+966500000001" if code == "invalid_phone_number" else None,
        )
        self.code = code  # type: ignore[misc]  # a sample of any code


def example_of(code: str, *, compatible: bool = False) -> dict[str, Any]:
    """Return the body of an answer with `code`."""
    members = errors.describe(_Sample(code), request_id="0f3a9c1e5b7d4826a1c4e8f2").members
    return {**members, "status": 500} if compatible and code == "delivery_failed" else members


_SAMPLE_FIELDS: Final[Mapping[str, Mapping[str, list[str]]]] = {
    "invalid_request": {"phone_number": ["required"]},
    "invalid_phone_number": {"phone_number": ["not_canonical"]},
}
_TAGS: Final = (
    *((word, "sessions") for word in ("/token/", "/sessions/", "/logout/", "/jwks", "/auth/status/")),
    *((word, "account") for word in ("/account/", "/claims/", "/otp/")),
)


def _shape(status: int, shape: Any) -> tuple[Any, Any]:
    """Return where and how spectacular is to show an answer: text and an empty object are no serializers to it."""
    if shape is str:
        return (status, "text/plain"), {"type": "string"}
    if isinstance(shape, type) and not shape._declared_fields:  # type: ignore[attr-defined]  # of a serializer
        return status, {"type": "object"}
    return status, shape


def _answers() -> Mapping[str, errors.Row]:
    return errors.ANSWERS
