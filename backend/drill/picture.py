"""One picture per scenario, as SVG: who got in and who waited, by which gateway, and what was noticed when.

It must not judge what it draws.
"""

from collections import Counter
from collections.abc import Callable
from html import escape
from typing import Final

from drill.figures import Figures
from drill.run import Record

_WIDTH: Final = 960
_HEIGHT: Final = 420
_LEFT: Final = 56
_RIGHT: Final = 20
_TOP: Final = 92
_PLOT: Final = 190
_BIN: Final = 2.0
_COLOURS: Final = {"authentica": "#2563eb", "twilio": "#d97706", "whatsapp": "#059669"}
_BAD: Final = "#dc2626"
Scale = Callable[[float], float]  # seconds to a place on the picture


def draw(record: Record, figures: Figures, verdict: str) -> str:
    """Return the picture."""
    length = max(record.ended_at, 1.0)

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / length

    parts = [_frame(record, figures, verdict), _phases(record, x), _bars(record, x, length), _people(record, x)]
    parts.append(_marks(record, figures, x))
    parts.append(_legend(record))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(record.scenario.title)}">{"".join(parts)}</svg>\n'
    )


def _text(
    x: float, y: float, words: str, *, size: int = 12, weight: str = "normal", colour: str = "#111827",
    anchor: str = "start",
) -> str:  # fmt: skip
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _rect(x: float, y: float, width: float, height: float, colour: str, *, opacity: float = 1.0) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{max(0.0, height):.1f}" '
        f'fill="{colour}" fill-opacity="{opacity}"/>'
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _frame(record: Record, figures: Figures, verdict: str) -> str:
    line = (
        f"{figures.logins} people, {figures.lost} lost · noticed after {_seconds(figures.detected_after)} · "
        f"95% moved after {_seconds(figures.moved_after)} · longest added wait {_seconds(figures.delay_most)} · "
        f"{figures.messages_per_login:.2f} messages a login · back after {_seconds(figures.back_after)}"
    )
    return (
        _rect(0, 0, _WIDTH, _HEIGHT, "#ffffff")
        + _text(_LEFT, 30, record.scenario.title, size=20, weight="bold")
        + _text(_LEFT, 52, line, colour="#374151")
        + _text(_LEFT, 72, verdict, weight="bold", colour="#047857" if verdict.startswith("Kept") else _BAD)
    )


def _phases(record: Record, x: Scale) -> str:
    top, bottom = _TOP, _TOP + _PLOT + 74
    shade = _rect(
        x(record.fault_at), top, x(record.healed_at) - x(record.fault_at), bottom - top, "#fee2e2", opacity=0.7
    )
    return (
        shade
        + _text(x(record.fault_at) + 4, top + 13, "broken", colour=_BAD)
        + _text(x(record.healed_at) + 4, top + 13, "healed", colour="#047857")
        + _text(_LEFT, top - 4, "gateway tries per second", colour="#6b7280")
    )


def _bars(record: Record, x: Scale, length: float) -> str:
    bins: dict[int, Counter[tuple[str, bool]]] = {}
    for at, provider, state, _ in record.attempts:
        failed = state in ("failed", "unknown")
        bins.setdefault(int(at // _BIN), Counter())[(provider, failed)] += 1
    most = max((sum(counter.values()) for counter in bins.values()), default=1)
    base, found = _TOP + _PLOT, []
    for number, counter in sorted(bins.items()):
        top = base
        for (provider, failed), count in sorted(counter.items()):
            height = (_PLOT - 20) * count / most
            top -= height
            colour = _BAD if failed else _COLOURS.get(provider, "#6b7280")
            found.append(_rect(x(number * _BIN), top, x(_BIN) - x(0) - 1, height, colour))
    found.append(_text(_LEFT - 6, _TOP + 24, f"{most / _BIN:.0f}", anchor="end", colour="#6b7280"))
    found.append(_text(_LEFT - 6, base, "0", anchor="end", colour="#6b7280"))
    for tick in range(0, int(length) + 1, 30):
        found.append(_text(x(tick), base + 92, f"{tick} s", anchor="middle", colour="#6b7280"))
    return "".join(found)


def _people(record: Record, x: Scale) -> str:
    base, found = _TOP + _PLOT + 14, []
    for life in record.lives:
        waited = (life.logged_in or life.gave_up or life.began) - life.began
        height = min(56.0, 56.0 * waited / 150.0)
        colour = _BAD if life.lost else ("#d97706" if life.resent is not None else "#10b981")
        found.append(f'<line x1="{x(life.began):.1f}" x2="{x(life.began):.1f}" y1="{base + 56:.1f}" '
                     f'y2="{base + 56 - max(2.0, height):.1f}" stroke="{colour}" stroke-width="1.4"/>')  # fmt: skip
    found.append(
        _text(_LEFT, base + 8, "each line a person, as long as the way in took (full height 150 s)", colour="#6b7280")
    )
    return "".join(found)


def _marks(record: Record, figures: Figures, x: Scale) -> str:
    found = []
    for value, words, start in (
        (figures.detected_after, "noticed", record.fault_at),
        (figures.back_after, "back", record.healed_at),
    ):
        if value is None:
            continue
        at = x(start + value)
        found.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP + 18}" y2="{_TOP + _PLOT}" stroke="#111827" '
            f'stroke-dasharray="3 3"/>' + _text(at + 4, _TOP + 30, words, weight="bold")
        )
    return "".join(found)


def _legend(record: Record) -> str:
    entries = [(name, _COLOURS[name]) for name in _COLOURS if any(item[1] == name for item in record.attempts)]
    entries += [("try that failed", _BAD), ("got in", "#10b981"), ("got in after one resend", "#d97706")]
    found, left = [], float(_LEFT)
    for words, colour in entries:
        found.append(_rect(left, _HEIGHT - 26, 12, 12, colour) + _text(left + 17, _HEIGHT - 16, words))
        left += 34 + 7.0 * len(words)
    return "".join(found)
