"""How a text is cut: the numbers of 3GPP TS 23.038 and TS 23.040."""

import pytest

from apps.accounts.messages import Encoding, segments


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", Encoding.GSM7, 0, 1),
        ("a" * 160, Encoding.GSM7, 160, 1),
        ("a" * 161, Encoding.GSM7, 161, 2),
        ("a" * 306, Encoding.GSM7, 306, 2),
        ("a" * 307, Encoding.GSM7, 307, 3),
        ("ن" * 70, Encoding.UCS2, 70, 1),
        ("ن" * 71, Encoding.UCS2, 71, 2),
        ("ن" * 134, Encoding.UCS2, 134, 2),
        ("ن" * 135, Encoding.UCS2, 135, 3),
    ],
)
def test_a_text_is_cut_where_the_standard_cuts(text: str, encoding: Encoding, units: int, count: int) -> None:
    cut = segments(text)
    assert (cut.encoding, cut.units, cut.count) == (encoding, units, count)


@pytest.mark.parametrize("char", list("^{}\\[~]|€\f"))
def test_a_character_of_the_extension_table_takes_two_septets(char: str) -> None:
    assert segments(char).units == 2
    assert segments(char).encoding is Encoding.GSM7


@pytest.mark.parametrize("char", list("@#$_Çà§ΔΩ\n"))
def test_a_character_of_the_basic_table_takes_one_septet(char: str) -> None:
    assert segments(char).units == 1
    assert segments(char).encoding is Encoding.GSM7


@pytest.mark.parametrize("char", list("ç`\u2019…\u2013ن\u200e\t"))
def test_one_character_outside_the_tables_turns_the_whole_text_into_ucs2(char: str) -> None:
    assert segments("a" * 69 + char).encoding is Encoding.UCS2
    assert segments("a" * 70 + char).count == 2


def test_an_emoji_takes_two_units() -> None:
    assert segments("\N{BARBER POLE}").units == 2


def test_a_character_of_two_units_is_never_cut_in_half() -> None:
    # 134 units would fill two segments of 67 to the last unit, but a pair would lie across the cut.
    assert segments("\N{BARBER POLE}" * 67).count == 3
    assert segments("€" * 153).count == 3


def test_the_capacity_is_what_the_segments_hold() -> None:
    assert segments("a" * 10).capacity == 160
    assert segments("a" * 161).capacity == 306
    assert segments("ن").capacity == 70
    assert segments("ن" * 71).capacity == 134
