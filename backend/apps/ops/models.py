"""What operations keeps for itself: sums that outlive the rows they were made of, and when which version started.

It must not hold a number, a code or anything of a person.
"""

from django.db import models


class Slot(models.Model):
    """What five minutes brought on one route (gateway, channel, country), all empty for what belongs to no gateway.

    `latencies` and `waits` are JSON objects of counts: by milliseconds of a gateway's answer, and by tenths of a second
    from asking to login.
    """

    at = models.DateTimeField()
    provider = models.CharField(max_length=16, blank=True, default="")
    channel = models.CharField(max_length=8, blank=True, default="")
    country = models.CharField(max_length=2, blank=True, default="")
    requested = models.IntegerField(default=0)
    sent = models.IntegerField(default=0)
    codes_sent = models.IntegerField(default=0, db_default=0)  # how many of those carried a code
    delivered = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    unknown = models.IntegerField(default=0)  # nobody knows whether these went out
    verified = models.IntegerField(default=0)  # codes used in these minutes
    expired = models.IntegerField(default=0)  # codes whose life ended in these minutes, unused
    opened = models.IntegerField(default=0)  # codes made in these minutes
    converted = models.IntegerField(default=0)  # how many of those were used, whenever
    latencies = models.TextField(default="{}")
    waits = models.TextField(default="{}")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["at", "provider", "channel", "country"], name="ops_slot_once")]


class SlotProgress(models.Model):
    """Up to when slots are summed: `settled` once nearly everything is known, `final` once late receipts are in too."""

    name = models.CharField(primary_key=True, max_length=8)
    since = models.DateTimeField()
    until = models.DateTimeField()


class Release(models.Model):
    """A version began to run in place of another one."""

    version = models.CharField(max_length=64)
    before = models.CharField(max_length=64, blank=True, default="")
    at = models.DateTimeField(db_index=True)
