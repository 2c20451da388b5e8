"""How gateways fare: what the watch and the audit found, what changed when, and who watches.

It must not know how that is judged.
"""

from django.db import models


class GatewayStanding(models.Model):
    """What is held against a gateway on one route; a gateway that was never in doubt has no row.

    With `channel` and `country` empty the row is the audit's word on the whole gateway. `ratio` is the share of the
    usual verifications that still happened, `curve` what was usual then (JSON), so that another process can go on.
    """

    class State(models.TextChoices):
        UP = "up"  # it was demoted or in doubt before
        EXPLORING = "exploring"  # in doubt: `candidate` gets every second message, to tell the gateway from the country
        DEMOTED = "demoted"
        MISCONFIGURED = "misconfigured"

    provider = models.CharField(max_length=16)
    channel = models.CharField(max_length=8, blank=True, default="")
    country = models.CharField(max_length=2, blank=True, default="")
    state = models.CharField(max_length=13, choices=State.choices)
    candidate = models.CharField(max_length=16, blank=True, default="")
    refused = models.CharField(max_length=80, blank=True, default="")  # candidates that fared no better, by commas
    ratio = models.FloatField(default=1.0)
    relapses = models.IntegerField(default=0)
    reason = models.CharField(max_length=64, blank=True, default="")
    curve = models.TextField(blank=True, default="")
    changed_at = models.DateTimeField()
    hold_until = models.DateTimeField(null=True, blank=True)  # not judged, or not audited again, before

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "channel", "country"], name="gateway_standing")]


class GatewayEvent(models.Model):
    """A gateway changed its state. Channel and country are empty where the change is not theirs alone."""

    at = models.DateTimeField(db_index=True)
    provider = models.CharField(max_length=16)
    channel = models.CharField(max_length=8, blank=True, default="")
    country = models.CharField(max_length=2, blank=True, default="")
    before = models.CharField(max_length=13)
    after = models.CharField(max_length=13)
    reason = models.CharField(max_length=64, blank=True, default="")


class GatewayLease(models.Model):
    """Which process watches now; it renews its hold, and another one takes over when it does not."""

    name = models.CharField(primary_key=True, max_length=16)
    holder = models.CharField(max_length=32)
    until = models.DateTimeField()
