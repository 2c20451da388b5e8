"""What Meta tells about a WhatsApp business account: its number, its token and its templates; sends nothing."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs

from fakegateways.catalogue import Operation
from fakegateways.config import MetaConfig, Template
from fakegateways.dialect import Call
from fakegateways.wire import Request

_NODE: Final = re.compile(r"^/v\d+\.\d+/(\d+|debug_token)(?:/(message_templates|phone_numbers))?$")


def read(request: Request, path: str, *, auth_ok: bool) -> Call | None:
    """Understand a reading call; None when Meta has no such address."""
    found = _NODE.match(path)
    if found is None or request.method != "GET":
        return None
    endpoint = found.group(2) or ("debug_token" if found.group(1) == "debug_token" else "node")
    return Call(request, Operation.READ, endpoint, "", {}, auth_ok, found.group(1))


def answer(call: Call, config: MetaConfig) -> dict[str, Any] | None:
    """Return the body for a reading call, None for something this account does not own."""
    query = {name: values[0] for name, values in parse_qs(call.request.query).items()}
    match call.endpoint:
        case "debug_token":
            return _token(config, query.get("input_token", config.token))
        case "message_templates" if call.target == config.business_account_id:
            return _templates(config, query)
        case "phone_numbers" if call.target == config.business_account_id:
            return {"data": [_number(config)]}
        case "node":
            return _node(call.target, config)
    return None


def _node(node_id: str, config: MetaConfig) -> dict[str, Any] | None:
    if node_id == config.phone_number_id:
        return _number(config)
    if node_id == config.business_account_id:
        return {"id": node_id, "name": "Fake business", "currency": "USD", "message_template_namespace": "fake"}
    return next((_template(one) for one in config.templates if one.id == node_id), None)


def _number(config: MetaConfig) -> dict[str, Any]:
    return {
        "id": config.phone_number_id,
        "display_phone_number": config.display_phone_number,
        "verified_name": "Fake business",
        "code_verification_status": "VERIFIED",
        "quality_rating": config.quality_rating,
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "status": "CONNECTED",
    }


def _token(config: MetaConfig, token: str) -> dict[str, Any]:
    valid = config.token_is_valid and token == config.token
    data: dict[str, Any] = {
        "app_id": "400000000000001",
        "type": "SYSTEM_USER",
        "application": "Fake app",
        "expires_at": 0,
        "is_valid": valid,
        "scopes": ["whatsapp_business_management", "whatsapp_business_messaging"] if valid else [],
    }
    if not valid:
        data["error"] = {"code": 190, "message": "The session has been invalidated", "subcode": 463}
    return {"data": data}


def _templates(config: MetaConfig, query: dict[str, str]) -> dict[str, Any]:
    name, status, language = query.get("name", ""), query.get("status", ""), query.get("language", "")
    chosen = [
        one
        for one in config.templates
        if one.name.startswith(name) and status in ("", one.status) and language in ("", one.language)
    ]
    return {"data": [_template(one) for one in chosen], "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}


def _template(template: Template) -> dict[str, Any]:
    text = "*{{1}}* is your verification code."
    return {
        "id": template.id,
        "name": template.name,
        "language": template.language,
        "status": template.status,
        "category": template.category,
        "message_send_ttl_seconds": 600,
        "components": [
            {"type": "BODY", "text": text, "add_security_recommendation": True, "example": {"body_text": [["123456"]]}},
            {"type": "FOOTER", "text": "This code expires in 10 minutes.", "code_expiration_minutes": 10},
            {
                "type": "BUTTONS",
                "buttons": [{"type": "URL", "text": "Copy code", "url": "https://www.whatsapp.com/otp/"}],
            },
        ],
    }
