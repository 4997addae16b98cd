from django.db import migrations

from accounts.roles import grant_roles


def forward(apps, schema_editor):
    grant_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("cancellations", "0001_first_tables"),
        ("billing", "0001_first_tables"),
        ("accounts", "0001_first_tables"),
        ("messaging", "0001_first_tables"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(forward, migrations.RunPython.noop)]
