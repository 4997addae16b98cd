from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # so that the table stays writable while the index is built

    dependencies = [
        ('billing', '0006_orders_have_references'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='transferitem',
            index=models.Index(fields=['end_to_end_id'], name='order_by_reference'),
        ),
    ]
