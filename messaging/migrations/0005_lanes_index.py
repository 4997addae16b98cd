from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # so that the table stays writable while the index is built

    dependencies = [
        ('messaging', '0004_lanes'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='outgoingmessage',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['priority', 'due_at'], name='message_due_first'),
        ),
    ]
