"""People who log in: each with a Saudi mobile number and an address that nobody else has.

It must not know what is done with them.
"""

from dataclasses import dataclass

# 52 is unassigned and 57 only in part (libphonenumber's metadata for SA).
_PREFIXES = ("50", "51", "53", "54", "55", "56", "58", "59")
_PER_PREFIX = 10_000_000
# RFC 2544's range for benchmarks: 198.18.0.0/15.
_ADDRESSES = 1 << 17


@dataclass(frozen=True, slots=True)
class Person:
    """One number and the address it calls from."""

    phone: str
    address: str


def person(index: int) -> Person:
    """Return the person with that index; numbers repeat after 80 million, addresses after 131,072."""
    prefix = _PREFIXES[index % len(_PREFIXES)]
    rest = (index // len(_PREFIXES)) % _PER_PREFIX
    offset = index % _ADDRESSES
    address = f"198.{18 + (offset >> 16)}.{(offset >> 8) & 255}.{offset & 255}"
    return Person(phone=f"+966{prefix}{rest:07d}", address=address)


class Crowd:
    """Hands out people who have not been seen in this run."""

    def __init__(self, *, first: int = 0) -> None:
        self._next = first

    def newcomer(self) -> Person:
        """Return the next person."""
        self._next += 1
        return person(self._next - 1)
