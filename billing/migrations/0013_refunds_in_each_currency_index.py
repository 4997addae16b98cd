from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # so that the table stays writable while the index is built

    dependencies = [
        ('billing', '0012_refunds_in_each_currency'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='refund',
            index=models.Index(condition=models.Q(('beside__isnull', False)), fields=['beside'], name='refund_beside'),
        ),
    ]
