"""A login writes nine tables: no index of them is there twice, for nothing, or for what logins leave empty."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


_TWINS = """
SELECT quote_ident(indexname) FROM pg_indexes
WHERE schemaname = current_schema() AND tablename LIKE 'accounts\\_%' AND indexname LIKE '%\\_like'"""


def drop_twins(apps, schema_editor):
    """Drop the second index that Django gives each indexed text on PostgreSQL, for prefix searches that nobody makes."""
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(_TWINS)
            for (name,) in cursor.fetchall():
                schema_editor.execute(f"DROP INDEX {name}")


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_gateway_audits'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='challenge',
            name='challenge_pending',
        ),
        migrations.RemoveIndex(
            model_name='session',
            name='session_live',
        ),
        migrations.AlterField(
            model_name='challenge',
            name='account',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='challenge',
            name='device_token',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, to='accounts.devicetoken'),
        ),
        migrations.AlterField(
            model_name='challenge',
            name='session',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, to='accounts.session'),
        ),
        migrations.AlterField(
            model_name='devicetoken',
            name='phone',
            field=models.CharField(max_length=16),
        ),
        migrations.AlterField(
            model_name='message',
            name='challenge',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='accounts.challenge'),
        ),
        migrations.AlterField(
            model_name='message',
            name='code',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='accounts.code'),
        ),
        migrations.AddIndex(
            model_name='challenge',
            index=models.Index(condition=models.Q(('account__isnull', False)), fields=['account'], name='challenge_account'),
        ),
        migrations.AddIndex(
            model_name='challenge',
            index=models.Index(condition=models.Q(('session__isnull', False)), fields=['session'], name='challenge_session'),
        ),
        migrations.AddIndex(
            model_name='challenge',
            index=models.Index(condition=models.Q(('device_token__isnull', False)), fields=['device_token'], name='challenge_token'),
        ),
        migrations.RunPython(drop_twins, migrations.RunPython.noop),
    ]
