"""Is a link that leads nowhere found?"""

import pytest

from scripts.checks.files import ROOT
from scripts.checks.links import broken, unlisted

README = ROOT / "README.md"


@pytest.mark.parametrize("link", ["docs/absent.md", "../absent.md", "docs/deploy.md#no-such-heading"])
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    assert list(broken(README, f"see [there]({link})"))


@pytest.mark.parametrize(
    "text",
    [
        "see [there](docs/deploy.md)",
        "see [there](docs/deploy.md#kubernetes)",
        "see [there](https://example.com/absent)",
        "```\n[there](absent.md)\n```",
    ],
)
def test_other_links_are_left_alone(text: str) -> None:
    assert list(broken(README, text)) == []


def test_a_decision_that_is_not_listed_is_found() -> None:
    assert list(unlisted("[1](0001-one.md)", ["0001-one.md", "0002-two.md"])) == [
        "docs/adr/README.md: 0002-two.md is not listed"
    ]
