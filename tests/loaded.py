"""What a forked worker has loaded before it begins (tests/workers.py)."""

import os
from importlib import import_module

import django

os.environ.setdefault("PORTAL_LOCAL_RUN", "1")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
import_module("config.urls")  # loads the pages, and with them the services
