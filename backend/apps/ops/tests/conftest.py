"""What the tests of operations share."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from apps.accounts.services.health import AlwaysUp
from apps.ops import board
from apps.ops.sampling import Sampler
from conftest import BASE_ENVIRON, Api

TOKEN = BASE_ENVIRON["ADMIN_TOKEN"]


class ToldHealth(AlwaysUp):
    """A health whose states a test sets."""

    def __init__(self, **states: str) -> None:
        self.told = states

    def states(self, names: Any) -> dict[str, str]:
        return {name: self.told.get(name, "up") for name in names}


@dataclass
class OperatorApi:
    """The JSON client with the operator's token."""

    api: Api = field(default_factory=Api)
    token: str = TOKEN

    def get(self, path: str, **headers: str) -> Any:
        return self.api.get(path, **{"x_admin_token": self.token, **headers})

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.api.post(path, body, **{"x_admin_token": self.token, **headers})

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.api.delete(path, body, **{"x_admin_token": self.token, **headers})


@pytest.fixture(autouse=True)
def _looks_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine make a database that answers look gone; for how long a look is waited is test_sampling's."""
    monkeypatch.setattr(board, "Sampler", partial(Sampler, patience_seconds=60.0))


@pytest.fixture
def operator() -> OperatorApi:
    """A client with the operator's token."""
    return OperatorApi()
