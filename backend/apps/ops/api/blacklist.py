"""The block list over HTTP. It must not know what an entry does."""

from collections.abc import Mapping
from typing import Any

from apps.accounts.api.endpoint import Answer, Call
from apps.accounts.api.schema import documented
from apps.accounts.errors import InvalidRequest
from apps.accounts.services.block_values import Target, target
from apps.accounts.services.blocks import Actor
from apps.accounts.services.wiring import services
from apps.ops.api.endpoint import OPERATOR_ERRORS, OperatorEndpoint
from apps.ops.api.serializers import BlockAnswer, BlockBody, BlockListAnswer, LiftBody

TAGS = ["operations"]


class Blacklist(OperatorEndpoint):
    bodies = {"POST": BlockBody, "DELETE": LiftBody}

    @documented("GET", "List the entries in force", ok=BlockListAnswer, errors=OPERATOR_ERRORS, tags=TAGS)
    def get(self, call: Call) -> Answer:
        entries, total = services().blocks.list()
        return Answer(200, {"entries": [entry.as_json() for entry in entries], "total": total})

    @documented(
        "POST", "Block a phone, a prefix, an address or a device", ok=BlockAnswer, ok_status=201,
        also={200: BlockAnswer}, errors=[*OPERATOR_ERRORS, "force_required"], tags=TAGS,
        request_examples={"a phone": {"type": "phone", "value": "+250788000000", "note": "Incident #123"}},
    )  # fmt: skip
    def post(self, call: Call) -> Answer:
        body = call.body
        added = services().blocks.add(
            target(body["type"], body["value"]),
            actor=actor(call),
            note=body.get("note", ""),
            expires_in=body.get("expires_in"),
            force=body.get("force", False),
        )
        return Answer(201 if added.new else 200, added.block.as_json())

    @documented("DELETE", "Lift a block", ok=BlockAnswer, errors=OPERATOR_ERRORS, tags=TAGS)
    def delete(self, call: Call) -> Answer:
        blocks = services().blocks
        lifted = blocks.lift(_named(call.body), actor=actor(call), note=call.body.get("note", ""))
        return Answer(200, lifted.as_json())


def _named(body: Mapping[str, Any]) -> Target:
    """Return whom an entry holds off, by its id in the list or by type and value."""
    if "id" in body:
        return services().blocks.target_of(body["id"])
    missing = {name: ["required"] for name in ("type", "value") if name not in body}
    if missing:
        raise InvalidRequest(fields=missing)
    return target(body["type"], body["value"])


def actor(call: Call) -> Actor:
    """Return who changes something."""
    return Actor(name=call.principal.name, ip=call.client_ip, device_id=call.device_id)
