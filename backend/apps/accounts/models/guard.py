"""What the pumping guard holds against whom, what it decided, and what was usual before. No rule is known here."""

from django.db import models


class GuardStanding(models.Model):
    """How one subject stands now. A country or prefix that was never in doubt and never used has no row.

    `subject` is an ISO region, a number without its last four digits, a client's network, or `*`; never a full number.
    """

    class Kind(models.TextChoices):
        COUNTRY = "country"
        PREFIX = "prefix"
        IP = "ip"
        BUDGET = "budget"

    class State(models.TextChoices):
        OPEN = "open"
        SLOW = "slow"
        PAUSED = "paused"
        PROBATION = "probation"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    subject = models.CharField(max_length=48)
    state = models.CharField(max_length=9, choices=State.choices, default=State.OPEN)
    rank = models.SmallIntegerField(default=0)  # of a country: 0 nobody ever verified, 1 somebody did, 2 known
    cap = models.IntegerField(null=True, blank=True)  # sends per window; empty: none
    since = models.DateTimeField()  # what was sent before is no evidence
    until = models.DateTimeField(null=True, blank=True)
    strikes = models.IntegerField(default=0)  # pauses so far
    reason = models.CharField(max_length=24, blank=True, default="")
    changed_at = models.DateTimeField()
    revision = models.BigIntegerField(default=0, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "subject"], name="guard_standing")]


class GuardDecision(models.Model):
    """One change of one subject's state, with what it was based on, and how many sends it stopped (or would have)."""

    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=8)
    subject = models.CharField(max_length=48)
    before = models.CharField(max_length=9)
    after = models.CharField(max_length=9)
    mode = models.CharField(max_length=8)  # observe, enforce
    reason = models.CharField(max_length=24)
    evidence = models.TextField(default="{}")  # JSON
    until = models.DateTimeField(null=True, blank=True)
    stopped = models.IntegerField(default=0)
    stopped_at = models.DateTimeField(null=True, blank=True)  # the last time

    class Meta:
        indexes = [models.Index(fields=["kind", "subject", "at"], name="guard_decision_subject")]


class GuardHour(models.Model):
    """One hour of one country: what was usual is read from these long after messages are gone.

    The row without a country says that the hour is counted; `final` that it will not be counted again.
    """

    country = models.CharField(max_length=2, blank=True)
    hour = models.DateTimeField()
    codes = models.IntegerField(default=0)
    verified = models.IntegerField(default=0)
    messages = models.IntegerField(default=0)
    spent = models.BigIntegerField(default=0)  # micro-units
    final = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hour", "country"], name="guard_hour")]


class GuardLease(models.Model):
    """Which process judges now; it renews its hold, and another one takes over when it does not."""

    name = models.CharField(primary_key=True, max_length=16)
    holder = models.CharField(max_length=32)
    until = models.DateTimeField()
