from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("cancellations", "0011_reminders_of_charges"),
        ("messaging", "0003_rows_set_aside"),
    ]
    operations = [migrations.RunPython(lambda apps, editor: grant_roles(apps), migrations.RunPython.noop)]
