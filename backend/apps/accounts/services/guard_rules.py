"""What the guard decides about a country, a prefix or an address: leave it, slow it, pause it, try it again.

Pure: it is given the evidence and the standing, and returns the next one. It must not know a database or how a send is
refused. The smallest subject that explains the evidence is blamed: a swept prefix before its country.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apps.accounts.services import guard_evidence
from apps.accounts.services.guard_evidence import Asked, Past, Weight, chance, weigh
from apps.accounts.services.guard_policy import GuardPolicy, Kind, Rank, State

Subject = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subject stands. Times are epoch seconds; `cap` is sends per window, None for none."""

    kind: Kind
    subject: str
    state: State = State.OPEN
    rank: Rank = Rank.STRANGER
    cap: int | None = None
    since: float = 0.0  # what was sent before is no evidence
    until: float | None = None
    strikes: int = 0
    reason: str = ""
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class Ruling:
    """The next standing, and the numbers it rests on."""

    standing: Standing
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guilt:
    """How bad it looks: OPEN for not at all."""

    state: State
    reason: str = ""


INNOCENT = Guilt(State.OPEN)


def judge(
    asked: Sequence[Asked],
    pasts: Mapping[str, Past],
    held: Mapping[Subject, Standing],
    *,
    now: float,
    policy: GuardPolicy,
) -> dict[Subject, Ruling]:
    """Rule on every subject that was active within the evidence, or that something is held against."""
    recent = [one for one in asked if one.at > now - policy.evidence]
    countries = guard_evidence.by_country(recent)
    rulings: dict[Subject, Ruling] = {}
    for country in {*countries, *(subject for kind, subject in held if kind is Kind.COUNTRY), *pasts}:
        own = countries.get(country, [])
        past = pasts.get(country, Past(conversion=policy.presumed))
        standing = held.get((Kind.COUNTRY, country), Standing(Kind.COUNTRY, country))
        prefixes = _prefixes(own, past, held, now=now, policy=policy)
        rulings.update(prefixes)
        flagged = {name for (_, name), one in prefixes.items() if one.standing.state is not State.OPEN}
        rulings[Kind.COUNTRY, country] = country_ruling(standing, own, past, flagged, now=now, policy=policy)
    for subject, standing in held.items():
        if standing.kind is Kind.PREFIX and subject not in rulings:
            after = _passed(standing, Weight(), policy, now)
            rulings[subject] = Ruling(replace(after, cap=None) if after.state is State.OPEN else after)
    rulings.update(_networks(recent, held, now=now, policy=policy))
    return rulings


def country_ruling(
    standing: Standing,
    asked: Sequence[Asked],
    past: Past,
    flagged: Collection[str],
    *,
    now: float,
    policy: GuardPolicy,
) -> Ruling:
    """Rule on one country; `flagged` are its prefixes against which something is held already."""
    weight = weigh(asked, now=now, policy=policy, since=standing.since)
    rest = weigh((a for a in asked if a.prefix not in flagged), now=now, policy=policy, since=standing.since)
    healthy = rest.mature >= policy.enough and rest.conversion >= _line(past, policy, pause=False)
    explained = healthy or (past.rank is Rank.KNOWN and len(flagged) <= policy.few_prefixes)
    blamed = rest if explained else weight
    if past.rank is not Rank.KNOWN and standing.since == 0:
        blamed = blamed.plus(mature=past.recent, verified=past.recent_verified)
    guilt = _country_guilt(blamed, weight, past, policy)
    after = _next(standing, guilt, weight, policy, now)
    rank = max(past.rank, Rank.NEWCOMER if weight.verified else Rank.STRANGER)
    cap = country_cap(replace(after, rank=rank), past, weight, policy)
    if after.state is State.OPEN and cap is not None and weight.sends >= cap:
        after = _changed(after, State.SLOW, "volume", now)
    return Ruling(
        replace(after, rank=rank, cap=cap),
        {**_numbers(blamed, past.conversion), "usual": round(past.usual, 1), "prefixes": len(flagged)},
    )


def country_cap(standing: Standing, past: Past, weight: Weight, policy: GuardPolicy) -> int | None:
    """Return how many sends a window may hold, None where no cap is needed."""
    room = round(policy.credit * weight.credit)
    if standing.state is State.PROBATION:
        return policy.probation_cap + room
    if standing.state is State.SLOW and standing.reason != "volume":
        # Where many still get in, a narrow cap would lock out those whom it is to protect.
        share = policy.surge if weight.verified >= policy.alive else policy.slow_surge
        return max(policy.slow_cap, round(share * past.usual)) + room
    if standing.rank is not Rank.KNOWN:
        return policy.stranger_cap + room
    base = max(policy.known_cap, round(policy.surge * past.usual))
    return None if base >= policy.spacious else base + room


def prefix_cap(standing: Standing, weight: Weight, policy: GuardPolicy, *, spacious: bool) -> int:
    """Return how many sends a window may hold for one prefix."""
    base = policy.prefix_cap if spacious else policy.small_prefix_cap
    if standing.state is State.PROBATION:
        base = policy.prefix_probation
    return base + round(policy.credit * weight.credit)


def is_spacious(rank: Rank, cap: int | None, policy: GuardPolicy) -> bool:
    """Say whether a country's own cap is no close guard, so that its prefixes get more room."""
    return rank is Rank.NEWCOMER or (rank is Rank.KNOWN and (cap is None or cap >= 2 * policy.known_cap))


def _country_guilt(blamed: Weight, everybody: Weight, past: Past, policy: GuardPolicy) -> Guilt:
    usual = past.conversion * (0.8 if past.rank is Rank.KNOWN else 1.0)
    if past.rank is Rank.KNOWN:
        # Fewer verified without more sent is an outage of a gateway, and pausing people then would double it.
        windows, spare = policy.evidence / policy.window, policy.known_cap / 2
        a_window = blamed.sends > policy.excess * past.usual + spare
        if not a_window and blamed.mature <= policy.excess * past.usual * windows + spare:
            return INNOCENT
    odds = chance(blamed.verified, blamed.mature, usual)
    if blamed.conversion < _line(past, policy, pause=True) and odds < policy.pause_doubt:
        state = State.SLOW if _alive(everybody, past, policy) else State.PAUSED
        return Guilt(state, "conversion")
    if blamed.conversion < _line(past, policy, pause=False) and odds < policy.slow_doubt:
        return Guilt(State.SLOW, "conversion")
    return INNOCENT


def _alive(weight: Weight, past: Past, policy: GuardPolicy) -> bool:
    if weight.verified < policy.alive:
        return False
    if past.rank is Rank.KNOWN:
        usual = policy.alive_share * past.usual * past.conversion  # verified codes of a window
        return weight.credit >= usual or weight.verified >= usual * policy.evidence / policy.window
    return weight.conversion >= policy.alive_conversion


def _line(past: Past, policy: GuardPolicy, *, pause: bool) -> float:
    published, share = (
        (policy.pause_conversion, policy.pause_share) if pause else (policy.slow_conversion, policy.slow_share)
    )
    return min(published, share * past.conversion) if past.rank is Rank.KNOWN else published


def _prefixes(
    asked: Sequence[Asked], past: Past, held: Mapping[Subject, Standing], *, now: float, policy: GuardPolicy
) -> dict[Subject, Ruling]:
    everybody = weigh(asked, now=now, policy=policy)
    rulings: dict[Subject, Ruling] = {}
    for prefix, own in guard_evidence.by_prefix(asked).items():
        standing = held.get((Kind.PREFIX, prefix))
        if standing is None and sum(len(one.sent) for one in own) < policy.sweep_numbers:
            continue
        standing = standing or Standing(Kind.PREFIX, prefix)
        weight = weigh(own, now=now, policy=policy, since=standing.since)
        others = Weight(mature=everybody.mature - weight.mature, verified=everybody.verified - weight.verified)
        usual = past.conversion
        if others.mature >= policy.enough:
            usual = min(usual, others.conversion)
        sweep = guard_evidence.longest_sweep(own, now=now, policy=policy, since=standing.since)
        clients = len({one.network for one in own if not one.verified and one.at > standing.since})
        guilt = _prefix_guilt(weight, usual, sweep, past, policy)
        if guilt.reason != "vendor" and clients < policy.sweep_networks:
            guilt = INNOCENT
        after = _next(standing, guilt, weight, policy, now)
        spacious = past.rank is not Rank.KNOWN or past.usual * policy.surge >= 2 * policy.known_cap
        cap = prefix_cap(after, weight, policy, spacious=spacious)
        if after.state is State.OPEN and weight.sends >= cap:
            after = _changed(after, State.SLOW, "volume", now)
        rulings[Kind.PREFIX, prefix] = Ruling(replace(after, cap=cap), {**_numbers(weight, usual), "sweep": sweep})
    return rulings


def _prefix_guilt(weight: Weight, usual: float, sweep: int, past: Past, policy: GuardPolicy) -> Guilt:
    if weight.frauds >= policy.vendor_frauds and weight.verified == 0:
        return Guilt(State.PAUSED, "vendor")
    if weight.conversion >= _line(past, policy, pause=True):
        return INNOCENT
    if sweep >= policy.sweep_numbers:
        return Guilt(State.PAUSED, "sweep")
    if chance(weight.verified, weight.mature, 0.8 * usual) < policy.pause_doubt:
        return Guilt(State.PAUSED, "conversion")
    return INNOCENT


def _networks(
    asked: Sequence[Asked], held: Mapping[Subject, Standing], *, now: float, policy: GuardPolicy
) -> dict[Subject, Ruling]:
    rulings: dict[Subject, Ruling] = {}
    found = guard_evidence.by_network(asked)
    for network in {*found, *(subject for kind, subject in held if kind is Kind.IP)}:
        standing = held.get((Kind.IP, network), Standing(Kind.IP, network))
        if standing.state is State.PAUSED:
            if standing.until is not None and now >= standing.until:
                ended = replace(_changed(standing, State.OPEN, "", now), since=now)
                rulings[Kind.IP, network] = Ruling(ended)
            continue
        own = [one for one in found.get(network, []) if one.at > standing.since]
        reason = _network_guilt(own, now=now, policy=policy)
        if reason:
            paused = replace(_changed(standing, State.PAUSED, reason, now), until=now + policy.ip_pause)
            countries = len({one.country for one in own})
            rulings[Kind.IP, network] = Ruling(paused, {"countries": countries, "sends": len(own), "verified": 0})
    return rulings


def _network_guilt(own: Sequence[Asked], *, now: float, policy: GuardPolicy) -> str:
    """Say what speaks against one client; nothing does where anybody behind it verifies."""
    weight = weigh(own, now=now, policy=policy)
    if weight.verified or weight.mature < policy.ip_countries or len(own) < policy.ip_sends:
        return ""
    if len({one.country for one in own}) >= policy.ip_countries:
        return "many_countries"
    sweeps = (
        guard_evidence.longest_sweep(part, now=now, policy=policy) for part in guard_evidence.by_prefix(own).values()
    )
    return "sweep" if max(sweeps, default=0) >= policy.sweep_numbers else ""


def _next(standing: Standing, guilt: Guilt, weight: Weight, policy: GuardPolicy, now: float) -> Standing:
    if standing.state in (State.PAUSED, State.PROBATION):
        return _passed(standing, weight, policy, now)
    if guilt.state is State.PAUSED:
        return _paused(standing, guilt.reason, policy, now)
    if guilt.state is State.SLOW:
        same = standing.state is State.SLOW and standing.reason == guilt.reason
        return standing if same else _changed(standing, State.SLOW, guilt.reason, now)
    if standing.state is State.SLOW and now - standing.changed >= policy.slow_hold:
        return _changed(standing, State.OPEN, "", now)
    return standing


def _passed(standing: Standing, weight: Weight, policy: GuardPolicy, now: float) -> Standing:
    """Let a pause run out into probation, and probation end in one of its three ways."""
    over = standing.until is not None and now >= standing.until
    if standing.state is State.PAUSED:
        if not over:
            return standing
        return replace(_changed(standing, State.PROBATION, "", now), since=now, until=now + policy.probation)
    if standing.state is not State.PROBATION:
        ended = now - standing.changed >= policy.slow_hold and standing.state is State.SLOW
        return _changed(standing, State.OPEN, "", now) if ended else standing
    if weight.verified >= policy.probation_verified and weight.conversion >= policy.pause_conversion:
        return _changed(standing, State.OPEN, "verified_again", now)
    most = policy.prefix_probation if standing.kind is Kind.PREFIX else policy.probation_unverified
    if weight.verified == 0 and weight.unverified >= most:
        return _paused(replace(standing, strikes=standing.strikes + 1), "relapse", policy, now)
    return replace(_changed(standing, State.OPEN, "", now), strikes=0) if over else standing


def _paused(standing: Standing, reason: str, policy: GuardPolicy, now: float) -> Standing:
    seconds = policy.pause_seconds(standing.strikes, prefix=standing.kind is Kind.PREFIX)
    return replace(_changed(standing, State.PAUSED, reason, now), until=now + seconds)


def _changed(standing: Standing, state: State, reason: str, now: float) -> Standing:
    return replace(standing, state=state, reason=reason, until=None, changed=now)


def _numbers(weight: Weight, usual: float) -> dict[str, Any]:
    return {
        "sends": weight.sends,
        "mature": weight.mature,
        "verified": weight.verified,
        "conversion": round(weight.conversion, 3),
        "usual_conversion": round(usual, 3),
    }
