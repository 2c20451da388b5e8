"""Which language a client's `Accept-Language` asks for."""

import pytest

from apps.accounts.messages import Language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, Language.EN),
        ("", Language.EN),
        ("ar", Language.AR),
        ("AR", Language.AR),
        ("ar-SA", Language.AR),
        ("ar-SA,ar;q=0.9,en;q=0.8", Language.AR),
        ("en-US,en;q=0.9,ar;q=0.8", Language.EN),
        ("en;q=0.5, ar;q=0.7", Language.AR),
        ("fr-FR, fr;q=0.9", Language.EN),
        ("fr, ar;q=0.1", Language.AR),
        ("ar;q=0.8,en;q=0.8", Language.AR),
        ("en;q=0.8,ar;q=0.8", Language.EN),
        ("*", Language.EN),
        ("ar;q=0.5, *;q=0.1", Language.AR),
        ("ar;q=0.1, *;q=0.5", Language.EN),
        ("en;q=0, *", Language.AR),
        ("en;q=0", Language.EN),
        ("ar;q=0", Language.EN),
        ("ar;q=0.000", Language.EN),
        ("ar ; q=0.5 , en ; q=0.4", Language.AR),
        ("arabic", Language.EN),
        ("arc", Language.EN),
    ],
)
def test_the_wanted_language_with_the_highest_quality_is_taken(header: str | None, language: Language) -> None:
    assert Language.negotiate(header) is language


@pytest.mark.parametrize(
    "header", ["ar;q=2", "ar;q=1.5", "ar;q=-1", "ar;q=0.1234", "ar;q=", "ar;level=1", ";q=1", "ar\x00", "\u0627"]
)
def test_a_malformed_range_is_passed_over(header: str) -> None:
    assert Language.negotiate(header) is Language.EN
    assert Language.negotiate(f"{header}, ar;q=0.1") is Language.AR


def test_a_range_behind_the_first_32_is_not_looked_at() -> None:
    assert Language.negotiate(", ".join(["fr"] * 32 + ["ar"])) is Language.EN
