"""Records and links of the audit trail are only ever added; no two links follow the same one.

On PostgreSQL the database itself refuses to change or delete a row. Whoever owns the tables could still empty them:
a deployment that fears its own service gives it a role that does not own them (docs/audit-events.md).
"""

from django.db import migrations, models

GUARD = """
CREATE OR REPLACE FUNCTION otp_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER otp_audit_event_append_only BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION otp_audit_append_only();
CREATE TRIGGER otp_audit_seal_append_only BEFORE UPDATE OR DELETE ON accounts_auditseal
    FOR EACH ROW EXECUTE FUNCTION otp_audit_append_only();
"""
UNGUARD = """
DROP TRIGGER IF EXISTS otp_audit_event_append_only ON accounts_auditevent;
DROP TRIGGER IF EXISTS otp_audit_seal_append_only ON accounts_auditseal;
DROP FUNCTION IF EXISTS otp_audit_append_only();
"""


def guard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(GUARD, params=None)


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(UNGUARD, params=None)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_receipts")]

    operations = [
        migrations.AddConstraint(
            model_name="auditseal",
            constraint=models.UniqueConstraint(fields=["previous"], name="audit_seal_follows_once"),
        ),
        migrations.RunPython(guard, unguard),
    ]
