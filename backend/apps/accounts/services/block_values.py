"""What an entry of the block list may say, in its one spelling, and whom it covers. It must not know a database."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import phonenumbers

from apps.accounts import phones
from apps.accounts.errors import InvalidRequest

Network = IPv4Network | IPv6Network

_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_PREFIX: Final = re.compile(r"\+[1-9][0-9]{0,13}\Z")
_DEVICE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_LONGEST_NETWORK: Final = 50
# A longer prefix may be a whole number, and is shown as one.
_SHOWN_PREFIX: Final = 10
# A wider network than these is a good part of everybody: the largest allocation of one carrier is a /8 or a /19.
_WIDEST: Final = {4: 8, 6: 19}


class BlockType(StrEnum):
    PHONE = "phone"
    IP = "ip"
    DEVICE = "device"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """Whom an entry holds off: a type and a canonical value."""

    type: BlockType
    value: str

    def __str__(self) -> str:
        """Return the value as an operator may see it: a number is masked."""
        if self.type is BlockType.PHONE or (self.type is BlockType.PREFIX and len(self.value) > _SHOWN_PREFIX):
            return phones.mask(self.value)
        return self.value


def target(kind: str, value: str) -> Target:
    """Return the target that an operator spelled: a number is brought into canonical form, a network cut to its mask.

    Raises:
        InvalidRequest: no such type, or the value cannot be one of it.
    """
    try:
        found = BlockType(kind)
    except ValueError:
        raise InvalidRequest(fields={"type": ["choice"]}) from None
    read, wanted = _READERS[found]
    canonical = read(value)
    if canonical is None:
        raise InvalidRequest(fields={"value": [wanted]})
    return Target(found, canonical)


def network(value: str) -> Network:
    """Return a stored `ip` value as a network."""
    return ip_network(value)


def covers_everybody(what: Target, *, allowed_countries: frozenset[str]) -> bool:
    """Say whether the entry would hold off all or a good part of the people who may log in."""
    if what.type is BlockType.IP:
        held = network(what.value)
        return held.prefixlen < _WIDEST[held.version]
    if what.type is BlockType.PREFIX:
        if len(what.value) == 2:  # one digit: a ninth of the world
            return True
        return bool(allowed_countries) and all(_covers_region(what.value, region) for region in allowed_countries)
    return False


def _covers_region(prefix: str, region: str) -> bool:
    """Say whether a prefix holds off a country, or a good part of its mobile numbers: in many all begin alike."""
    code = f"+{phonenumbers.country_code_for_region(region)}"
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164) if example else code
    return code.startswith(prefix) or (len(prefix) <= len(code) + 1 and number.startswith(prefix))


def covers_caller(what: Target, *, ip: str, device_id: str) -> bool:
    """Say whether the entry would hold off whoever is making it."""
    if what.type is BlockType.IP and ip:
        held, address = network(what.value), ip_address(ip)
        return held.version == address.version and address in held
    return what.type is BlockType.DEVICE and bool(device_id) and what.value == device_id


def _phone(value: str) -> str | None:
    folded = phones.fold_digits(value)
    if not _PHONE.match(folded):
        return None
    # A number that nobody could own, such as a test number, is blocked as it stands.
    try:
        number = phonenumbers.parse(folded, None)
    except phonenumbers.NumberParseException:
        return folded
    if not phonenumbers.is_valid_number(number):
        return folded
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _prefix(value: str) -> str | None:
    folded = phones.fold_digits(value)
    return folded if _PREFIX.match(folded) else None


def _ip(value: str) -> str | None:
    if len(value) > _LONGEST_NETWORK or "%" in value:
        return None
    try:
        held = ip_network(value, strict=False)
    except ValueError:
        return None
    mapped = held.network_address.ipv4_mapped if isinstance(held, IPv6Network) else None
    if mapped is not None and held.prefixlen >= 96:  # clients that come so are seen as IPv4
        held = ip_network((mapped, held.prefixlen - 96))
    return str(held.network_address) if held.prefixlen == held.max_prefixlen else str(held)


def _device(value: str) -> str | None:
    return value if _DEVICE.match(value) else None


# How a value is read, and the fault that says what one of its type looks like.
_READERS: Final[Mapping[BlockType, tuple[Callable[[str], str | None], str]]] = {
    BlockType.PHONE: (_phone, "block_phone"),
    BlockType.PREFIX: (_prefix, "block_prefix"),
    BlockType.IP: (_ip, "block_ip"),
    BlockType.DEVICE: (_device, "device_id"),
}
