"""The lean base of every view: parses the request at the door, calls the view with a `Call`, answers its `Answer`.

It must not know a rule of the domain, nor what any view does.

How to write a view
-------------------
::

    class PhoneRequest(Endpoint):
        bodies = {"POST": PhoneRequestBody}      # serializer whose fields come from api/fields.py; no entry: no members
        idempotent = True                        # honours Idempotency-Key (call.ticket)

        @documented("POST", "Ask for a code", ok=SentAnswer, errors=["rate_limited", …])
        def post(self, call: Call) -> Answer:
            phone = phones.parse(call.body["phone_number"])
            …
            return Answer(200, {"message": …}, {"RateLimit": …})

- A method that the class does not define answers 405 with `Allow`; HEAD goes where GET goes.
- `bearer = True`: no view is reached without a valid token; `call.principal` is what `sessions.authenticate` returned.
  `step_up = True` asks the principal for `step_up` as well. Another kind of credential: override `identify(call)`.
- `query = frozenset({"window"})` lists the query parameters that its GET reads (`call.query`); no other is looked at.
- Path parameters come as keyword arguments: `def get(self, call: Call, challenge_id: str) -> Answer`.
- Raise an `AccountsError` anywhere: it becomes the problem of api/errors.py. Nothing else needs catching.
- `error.challenge` may be anything; `present_challenge(challenge)` makes the JSON of it (a mapping passes as it is).
- `sends = True`: the call sends a code; its answers say how near the caller is to being refused.
- `successor = "/api/auth/phone/request/"` marks a compatibility path: its answers carry `Deprecation` and `Link`,
  and `delivery_failed` is 500.
- `exists()` returning False hides the path: 404, whatever the method and the body.
- `idempotent = True`: an answer (2xx, 4xx but 409/429) is kept when the view returns. An act that must not be done
  twice keeps it in its own transaction: hand `call.ticket` to the service, which calls `ticket.keep(200, data)` (or
  `ticket.keep_error(error)` before it raises) inside the transaction of the act. What was kept is what is answered.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from apps.accounts.api import errors, fields, parsing, problems
from apps.accounts.api.call import Answer, Call, bearer_token, header_device_id, ip_of, read_device_id
from apps.accounts.api.schema import EndpointSchema
from apps.accounts.errors import AccountsError, InvalidRequest, NotFound, StepUpRequired
from apps.accounts.messages import Language
from apps.accounts.services.idempotency import Kept, KeyedTicket, as_text

__all__ = ["Answer", "Call", "Endpoint", "bearer_token", "ip_of", "respond"]

HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# RFC 9745: the date since which the first mobile API's paths are deprecated (2026-01-01).
DEPRECATED_SINCE: Final = "@1767225600"
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,256}")
_PROOF: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_KEY: Final = re.compile(r"[\x21-\x7e]{16,128}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_USER_AGENT_MAX: Final = 256

negotiate = lru_cache(maxsize=512)(Language.negotiate)


class Endpoint(APIView):
    """Base of the API's views; see the module's docstring."""

    bodies: ClassVar[Mapping[str, type[Serializer[Any]]]] = {}
    query: ClassVar[frozenset[str]] = frozenset()
    bearer: ClassVar[bool] = False
    step_up: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False
    successor: ClassVar[str] = ""
    sends: ClassVar[bool] = False
    development_only: ClassVar[bool] = False  # for the OpenAPI document; `exists` is what hides the path
    security_scheme: ClassVar[str] = ""  # for the OpenAPI document where `identify` is overridden: "adminToken"
    schema = EndpointSchema()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer one request; REST framework's own dispatch costs more than all of this."""
        language = negotiate(request.META.get("HTTP_ACCEPT_LANGUAGE") or None)
        try:
            response = self._answer(request, language, kwargs)
        except Exception as error:
            response = self._refuse(request, error, language)
        if self.successor:
            response.headers["Deprecation"] = DEPRECATED_SINCE
            response.headers["Link"] = f'<{self.successor}>; rel="successor-version"'
        return response

    # Hooks ----------------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Say whether this path is there at all, in this configuration."""
        return True

    def identify(self, call: Call) -> Any:
        """Return who calls, by the credential this endpoint takes. Raises AccountsError."""
        return self.authenticate(call, bearer_token(call.request)) if self.bearer else None

    def authenticate(self, call: Call, raw_token: str) -> Any:
        """Return the principal of a bearer token. Raises AccountsError."""
        from apps.accounts.services import wiring

        return wiring.services().sessions.authenticate(raw_token)

    def caller(self, principal: Any) -> str:
        """Return what keeps one caller's idempotency keys apart from another's."""
        return "" if principal is None else str(principal.session_id)

    def present_challenge(self, challenge: Any) -> Mapping[str, Any] | None:
        """Return the JSON of the challenge that an error carries."""
        return challenge if isinstance(challenge, Mapping) else None

    def refusal_headers(self, error: AccountsError) -> Mapping[str, str]:
        """Return further headers of a refusal, such as RateLimit."""
        return {}

    # The way through ------------------------------------------------------------------------------------------------

    def _answer(self, request: HttpRequest, language: Language, params: dict[str, Any]) -> HttpResponse:
        if not self.exists():
            raise NotFound
        handler = self._handler(request.method or "")
        call = self._call(request, language)
        call.principal = self.identify(call)
        if self.step_up and not call.principal.step_up:
            raise StepUpRequired
        members = parsing.read_object(request)
        self._read_members(call, members)
        if call.idempotency_key is None:
            return respond(handler(call, **params))
        return self._answer_once(handler, call, members, params, key=call.idempotency_key)

    def _handler(self, method: str) -> Callable[..., Answer]:
        if method in HTTP_METHODS:
            handler = getattr(self, "get" if method == "HEAD" else method.lower(), None)
            if handler is not None:
                found: Callable[..., Answer] = handler
                return found
        raise errors.MethodNotAllowed(", ".join(self.allowed()))

    @classmethod
    def allowed(cls) -> list[str]:
        """Return the methods that this endpoint answers."""
        return [name for name in HTTP_METHODS if hasattr(cls, "get" if name == "HEAD" else name.lower())]

    def _call(self, request: HttpRequest, language: Language) -> Call:
        meta = request.META
        key = None
        if self.idempotent:
            key = meta.get("HTTP_IDEMPOTENCY_KEY")
            if key is not None and not _KEY.fullmatch(key):
                raise InvalidRequest(detail_key="idempotency_key")
        token, proof = meta.get("HTTP_X_DEVICE_TOKEN", ""), meta.get("HTTP_X_PROOF_TOKEN", "")
        return Call(
            request=request,
            method=request.method or "",
            request_id=getattr(request, "request_id", ""),
            language=language,
            client_ip=ip_of(request),
            user_agent=_CONTROL.sub("", meta.get("HTTP_USER_AGENT", "")[: 2 * _USER_AGENT_MAX])[:_USER_AGENT_MAX],
            device_token=token if _VISIBLE.fullmatch(token) else "",
            proof=proof if _PROOF.fullmatch(proof) else "",
            query=self._query(request) if self.query and request.method in ("GET", "HEAD") else {},
            idempotency_key=key,
        )

    def _query(self, request: HttpRequest) -> dict[str, str]:
        given = parsing.read_query(request, names=self.query)
        found = {name: given[name] for name in self.query if name in given}
        odd = {name: ["control_characters"] for name, value in found.items() if _CONTROL.search(value)}
        if odd:
            raise InvalidRequest(fields=odd)
        return found

    def _read_members(self, call: Call, members: dict[str, Any]) -> None:
        serializer = self.bodies.get(call.method)
        if serializer is None:
            call.device_id = header_device_id(call.request, strict=call.method == "POST")
            return
        call.body = fields.parse(serializer, members)
        call.device_name = call.body.get("device_name", "")
        call.proof = call.body.get("proof", call.proof)
        # A device may name itself in any body, also where the members do not list it.
        if "device_id" in call.body:
            call.device_id = call.body["device_id"]
        elif "device_id" in members:
            call.device_id = read_device_id(members["device_id"])
        else:
            call.device_id = header_device_id(call.request)

    def _answer_once(
        self, handler: Callable[..., Answer], call: Call, members: dict[str, Any], params: dict[str, Any], *, key: str
    ) -> HttpResponse:
        claimed = self._claim(call, members, key)
        if isinstance(claimed, Kept):
            response = _from_kept(claimed)
            response.headers["Idempotency-Replayed"] = "true"
            return response
        call.ticket = claimed
        try:
            answer = handler(call, **params)
        except AccountsError as error:
            problems.quietly(claimed.settle, claimed.render(error))
            raise
        except BaseException:
            problems.quietly(claimed.release)
            raise
        if claimed.kept is not None:
            return _from_kept(Kept(claimed.kept.status, claimed.kept.body, {**claimed.kept.headers, **answer.headers}))
        kept = Kept(status=answer.status, body=as_text(answer.data), headers=dict(answer.headers))
        problems.quietly(claimed.settle, kept)
        return _from_kept(kept)

    def _claim(self, call: Call, members: dict[str, Any], key: str) -> KeyedTicket | Kept:
        from apps.accounts.services import wiring

        def render(error: AccountsError) -> Kept:
            problem = self._describe(error, call.request_id, call.language)
            headers = {**problem.headers, "Content-Type": errors.PROBLEM_TYPE}
            return Kept(status=problem.status, body=as_text(problem.members), headers=headers)

        operation = f"{call.method} {call.request.path_info.rstrip('/')} {self.caller(call.principal)}"
        body = parsing.canonical(members)
        return wiring.services().idempotency.claim(key, operation=operation, body=body, render=render)

    def _refuse(self, request: HttpRequest, error: Exception, language: Language) -> HttpResponse:
        known = problems.known(error)
        if known is None:
            problems.report_crash(error)
            known = AccountsError()
        return errors.answer(self._describe(known, getattr(request, "request_id", ""), language))

    def _describe(self, error: AccountsError, request_id: str, language: Language) -> errors.Problem:
        problem = errors.describe(
            error,
            language=language,
            request_id=request_id,
            compatible=bool(self.successor),
            challenge=self.present_challenge(error.challenge) if error.challenge is not None else None,
        )
        problem.headers.update(self.refusal_headers(error))
        return problem


def respond(answer: Answer) -> HttpResponse:
    """Return `answer` as a response."""
    return _from_kept(Kept(status=answer.status, body=as_text(answer.data), headers=answer.headers))


def _from_kept(kept: Kept) -> HttpResponse:
    if not kept.body:
        response = HttpResponse(status=kept.status)
        del response.headers["Content-Type"]
    else:
        response = HttpResponse(kept.body, status=kept.status, content_type="application/json")
    for name, value in kept.headers.items():
        response.headers[name] = value
    return response
