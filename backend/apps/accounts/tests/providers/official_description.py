"""Does a request fit the vendor's own OpenAPI description? Address, parameters, headers, body, nothing unknown.

It must not know what our clients send.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from apps.accounts.tests.providers.raw_server import Seen

_ROOT: Final = Path(__file__).resolve().parents[5]
# The descriptions are not part of the project: this names the folder that holds them.
FOLDER: Final = Path(os.environ.get("OTP_SPECS_DIR") or _ROOT.parent / "shared" / "specs")
FILES: Final = {
    "authentica": "authentica_v2_otp.transcribed.openapi.json",
    "twilio": "twilio_api_v2010.json",
    "whatsapp": "business-messaging-api_v23.0.patched.json",
}
# Paging belongs to every list of the Graph API: https://developers.facebook.com/docs/graph-api/results
_UNDESCRIBED_QUERY: Final = frozenset({"limit"})
# Documented for every message, with its echo in the status webhook, and left out of the description:
# https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
_UNDESCRIBED_FIELDS: Final = frozenset({"biz_opaque_callback_data"})


@cache
def description(vendor: str) -> dict[str, Any]:
    """Return the parsed description of a vendor."""
    found = json.loads((FOLDER / FILES[vendor]).read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def faults(vendor: str, seen: Seen) -> list[str]:
    """Return in which ways a request does not fit; empty when it does."""
    spec = description(vendor)
    base = urlsplit(spec["servers"][0]["url"]).path
    found = _operation(spec, seen.method.lower(), seen.path.removeprefix(base))
    if found is None:
        return [f"no operation {seen.method} {seen.path}"]
    template, values = found
    operation = spec["paths"][template][seen.method.lower()]
    declared = [
        _resolved(spec, one)
        for one in [*spec["paths"][template].get("parameters", []), *operation.get("parameters", [])]
    ]
    given = {"path": values, "query": dict(parse_qsl(seen.query)), "header": seen.headers}
    wrong = [fault for one in declared for fault in _parameter(spec, one, given)]
    known = {one["name"] for one in declared if one["in"] == "query"} | _UNDESCRIBED_QUERY
    wrong.extend(f"unknown query {name}" for name in given["query"] if name not in known)
    if "requestBody" in operation:
        wrong.extend(_body(spec, template, operation["requestBody"], seen))
    return wrong


def _operation(spec: dict[str, Any], method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """Return the template with the fewest placeholders that fits, and what stands in their places."""
    for template in sorted(spec["paths"], key=lambda one: (one.count("{"), one)):
        names = re.findall(r"\{([^}]+)\}", template)
        pattern = "".join(
            "([^/]+)" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", template)
        )
        match = re.fullmatch(pattern, path)
        if match and method in spec["paths"][template]:
            return template, dict(zip(names, match.groups(), strict=True))
    return None


def _parameter(spec: dict[str, Any], declared: dict[str, Any], given: dict[str, dict[str, str]]) -> list[str]:
    place, name = declared["in"], declared["name"]
    value = given.get(place, {}).get(name.lower() if place == "header" else name)
    if value is None:
        return [f"{place} {name} is missing"] if declared.get("required") else []
    return [f"{place} {name}: {fault}" for fault in _violations(spec, declared.get("schema", {}), value)]


def _body(spec: dict[str, Any], template: str, declared: dict[str, Any], seen: Seen) -> list[str]:
    kind = seen.headers.get("content-type", "").partition(";")[0]
    if kind not in declared["content"]:
        return [f"content type {kind!r}"]
    steps = ("paths", template, seen.method.lower(), "requestBody", "content", kind, "schema")
    pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
    instance = _json(seen.body) if kind == "application/json" else _form(spec, declared["content"][kind], seen.body)
    return _violations(spec, {"$ref": f"urn:description#/{pointer}", "unevaluatedProperties": False}, instance)


def _json(body: bytes) -> Any:
    found = json.loads(body)
    return {name: value for name, value in found.items() if name not in _UNDESCRIBED_FIELDS}


def _form(spec: dict[str, Any], declared: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the posted form with numbers and booleans as what the description calls them."""
    properties = _resolved(spec, declared["schema"])["properties"]
    typed: dict[str, Any] = {}
    for name, raw in parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True):
        wanted = properties.get(name, {}).get("type")
        number = wanted == "integer" and re.fullmatch(r"-?[0-9]+", raw)
        typed[name] = (
            int(raw) if number else {"true": True, "false": False}.get(raw, raw) if wanted == "boolean" else raw
        )
    return typed


def _violations(spec: dict[str, Any], schema: dict[str, Any], instance: Any) -> list[str]:
    resource = DRAFT202012.create_resource(spec)
    registry: Registry[Any] = Registry().with_resource("urn:description", resource)
    validator = Draft202012Validator(_rooted(schema), registry=registry)
    return [
        f"{'/'.join(map(str, error.path)) or 'body'}: {error.message[:200]}"
        for error in validator.iter_errors(instance)
    ]


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a reference within the description be found from outside it."""
    target = schema.get("$ref", "")
    return {**schema, "$ref": f"urn:description{target}"} if target.startswith("#") else schema


def _resolved(spec: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    found: Any = part
    while "$ref" in found:
        target = found["$ref"]
        found = spec
        for step in target.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
    assert isinstance(found, dict)
    return found
