"""What the people in the stories of silent numbers do: choose, claim, come back, answer."""

from typing import Any

from apps.accounts.tests.stories.people import Visitor

CHOOSE, CLAIMS, REFRESH = "/api/auth/phone/choose/", "/api/auth/claims/", "/api/auth/token/refresh/"
DAY, HOUR = 86_400, 3600


def ticket_of(visitor: Visitor, **headers: str) -> str:
    answer = visitor.prove(**headers)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert set(body) == {"account_choice_required", "ticket", "expires_in"}, body
    assert (body["account_choice_required"], body["expires_in"]) == (True, 600)
    found: str = body["ticket"]
    return found


def choose(visitor: Visitor, ticket: str, choice: str) -> Any:
    return visitor.api.post(CHOOSE, {"ticket": ticket, "choice": choice}, **visitor.device)


def claim_mine(visitor: Visitor) -> int:
    answer = choose(visitor, ticket_of(visitor), "mine")
    assert answer.status_code == 202, answer.content
    assert list(answer.json()) == ["available_in"]
    return int(answer.json()["available_in"])


def come_back(owner: Visitor) -> Visitor:
    """The old device refreshes: its session lives."""
    answer = owner.api.post(REFRESH, {"refresh": owner.tokens["refresh"]}, **owner.device)
    assert answer.status_code == 200, answer.content
    owner.tokens = {**owner.tokens, **answer.json()}
    return owner


def claims_of(owner: Visitor) -> list[dict[str, object]]:
    answer = owner.api.get(CLAIMS, **owner.bearer)
    assert answer.status_code == 200, answer.content
    return list(answer.json())


def say(owner: Visitor, answer: str) -> Any:
    (claim,) = claims_of(owner)[:1]
    return owner.api.post(f"{CLAIMS}{claim['id']}/", {"answer": answer}, **owner.bearer)
