from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0003_rows_set_aside'),
    ]

    operations = [
        migrations.AddField(
            model_name='outgoingmessage',
            name='priority',
            field=models.PositiveSmallIntegerField(choices=[(0, 'somebody waits for it'), (1, 'normal'), (2, 'one of many')], db_default=1, default=1, editable=False),
        ),
        migrations.AddField(
            model_name='webhookendpoint',
            name='next_call_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='If it answers slowly: when it may be called again', null=True),
        ),
    ]
