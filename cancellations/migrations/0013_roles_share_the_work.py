from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("cancellations", "0012_assigned_notes_and_queue"),
        ("messaging", "0003_canned_replies"),
        ("accounts", "0005_desk_filters_and_looking"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations = [migrations.RunPython(lambda apps, editor: grant_roles(apps), migrations.RunPython.noop)]
