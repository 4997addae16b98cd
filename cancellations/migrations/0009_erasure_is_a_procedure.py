from django.db import migrations

from cancellations.models.erasing import install


def install_procedure(apps, schema_editor):
    install(schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [
        ('cancellations', '0008_files_are_checked_for_viruses'),
    ]

    operations = [
        migrations.RunPython(install_procedure, migrations.RunPython.noop),
    ]
