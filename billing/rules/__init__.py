"""Pure rules about dates and money: no Django, no Celery, no clock; the caller passes the day."""
