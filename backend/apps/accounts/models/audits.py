"""What the last audits of the gateways found."""

from django.db import models


class GatewayAudit(models.Model):
    """One audit of one gateway. `lines` is JSON: check, finding, advice, value; no secret and no number."""

    at = models.DateTimeField(db_index=True)
    provider = models.CharField(max_length=16)
    finding = models.CharField(max_length=8)  # the worst line: ok, note, warning, fault
    lines = models.TextField(default="[]")

    class Meta:
        indexes = [models.Index(fields=["provider", "-at"], name="gateway_audit_last")]
