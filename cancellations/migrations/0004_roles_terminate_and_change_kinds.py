from django.db import migrations

from accounts.roles import grant_roles


def forward(apps, schema_editor):
    grant_roles(apps)


class Migration(migrations.Migration):
    dependencies = [("cancellations", "0003_kinds_several_and_terminations")]
    operations = [migrations.RunPython(forward, migrations.RunPython.noop)]
