"""Calls as a client of each vendor makes them, good by default."""

from __future__ import annotations

import json
from typing import Any

import requests

from fakegateways.handle import FakeGateways

PHONE = "+966551234567"
ACCOUNT = "AC" + "0" * 32


def authentica(
    fake: FakeGateways, path: str = "send-otp", *, key: str = "fake-authentica-key", timeout: float = 5, **fields: Any
) -> requests.Response:
    """Post to Authentica with both headers that its documents ask for."""
    headers = {"X-Authorization": key, "Accept": "application/json"}
    usual: dict[str, Any] = {"method": "sms", "phone": PHONE, "otp": "012345"} if path == "send-otp" else {}
    body = {name: value for name, value in {**usual, **fields}.items() if value is not None}
    url = f"{fake.authentica_url}/{path}"
    return requests.post(url, json=body, headers=headers, timeout=timeout, allow_redirects=False)


def balance(fake: FakeGateways) -> requests.Response:
    """Read Authentica's balance."""
    return requests.get(f"{fake.authentica_url}/balance", headers={"X-Authorization": "fake-authentica-key"}, timeout=5)


def twilio(
    fake: FakeGateways, *, token: str = "fake-twilio-token", account: str = ACCOUNT, timeout: float = 5, **fields: Any
) -> requests.Response:
    """Create a message at Twilio."""
    usual = {"To": PHONE, "From": "+15005550006", "Body": "123456 is your code"}
    body = {name: value for name, value in {**usual, **fields}.items() if value is not None}
    url = f"{fake.twilio_url}/2010-04-01/Accounts/{account}/Messages.json"
    return requests.post(url, data=body, auth=(ACCOUNT, token), timeout=timeout, allow_redirects=False)


def template(code: str = "123456", *, name: str = "otp_ar", language: str = "ar") -> dict[str, Any]:
    """Return the one shape of an authentication template."""
    text = [{"type": "text", "text": code}]
    button = {"type": "button", "sub_type": "url", "index": "0", "parameters": text}
    components = [{"type": "body", "parameters": text}, button]
    return {"name": name, "language": {"code": language}, "components": components}


def meta(fake: FakeGateways, *, token: str = "fake-meta-token", timeout: float = 5, **fields: Any) -> requests.Response:
    """Send a template by Meta."""
    body: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": PHONE[1:]}
    body |= {"type": "template", "template": template()}
    body = {name: value for name, value in {**body, **fields}.items() if value is not None}
    url = f"{fake.meta_url}/v23.0/100000000000001/messages"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return requests.post(url, data=json.dumps(body), headers=headers, timeout=timeout, allow_redirects=False)


def send(fake: FakeGateways, vendor: str, *, timeout: float = 5, phone: str = PHONE) -> requests.Response:
    """Send one good message by a vendor."""
    if vendor == "authentica":
        return authentica(fake, timeout=timeout, phone=phone)
    if vendor == "twilio":
        return twilio(fake, timeout=timeout, To=phone)
    return meta(fake, timeout=timeout, to=phone[1:])
