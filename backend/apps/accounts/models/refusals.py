"""What was refused, kept small: sums of a minute, and what was last refused to whom. It must not know why."""

from django.db import models


class MinuteCount(models.Model):
    """How often something happened in a minute that leaves no row of its own, summed over all processes."""

    minute = models.DateTimeField()
    name = models.CharField(max_length=24)  # such as "refused"
    label = models.CharField(max_length=48)  # such as "rate_limited/ip"
    count = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["minute", "name", "label"], name="minute_count")]


class RefusedSend(models.Model):
    """Sends and tries refused to one number for one reason within an hour: a sample, never an account of everything.

    `phone_key` is a keyed hash. The number itself is kept only where the refusal was our failure, so that the person
    can be told when it is over.
    """

    phone_key = models.CharField(max_length=32)
    hour = models.DateTimeField()
    code = models.CharField(max_length=24)
    scope = models.CharField(max_length=16, blank=True, default="")
    count = models.IntegerField()
    last_at = models.DateTimeField()
    phone = models.CharField(max_length=16, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["phone_key", "hour", "code", "scope"], name="refused_send")]
        indexes = [models.Index(fields=["hour"], name="refused_hour")]


class IncidentNotice(models.Model):
    """Who was told that an incident is over, and when: nobody is told twice. Written before the notice is due."""

    phone_key = models.CharField(primary_key=True, max_length=32)
    told_at = models.DateTimeField()
    by = models.CharField(max_length=64)
