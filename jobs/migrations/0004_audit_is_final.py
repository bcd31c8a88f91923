"""The audit log is written once: the database refuses a changed row, whoever asks."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

SQLITE = """
CREATE TRIGGER audit_is_final BEFORE UPDATE ON jobs_auditentry
BEGIN
    SELECT RAISE(ABORT, 'the audit log is written once');
END
"""
POSTGRES = """
CREATE OR REPLACE FUNCTION audit_is_final() RETURNS trigger AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is written once';
END
$$ LANGUAGE plpgsql;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON jobs_auditentry
FOR EACH ROW EXECUTE FUNCTION audit_is_final()
"""


def guard(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Add the trigger."""
    schema_editor.execute({"sqlite": SQLITE, "postgresql": POSTGRES}[schema_editor.connection.vendor])


def unguard(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Remove the trigger."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER audit_is_final")
    else:
        schema_editor.execute("DROP TRIGGER audit_is_final ON jobs_auditentry")
        schema_editor.execute("DROP FUNCTION audit_is_final()")


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_live_for_everyone")]

    operations = [
        migrations.AlterField(
            model_name="auditentry",
            name="job",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="audit", to="jobs.job"
            ),
        ),
        # last: SQLite makes a table anew to change it, and the trigger goes with the old one
        migrations.RunPython(guard, unguard),
    ]
