from datetime import datetime

import pytest
from django.apps import apps


@pytest.fixture(autouse=True)
def _plain_settings(settings, tmp_path) -> None:
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def now() -> datetime:
    from tests.cast import NOW

    return NOW


@pytest.fixture
def roles(transactional_db) -> None:
    """The groups again, which the migration made and a flushed database has lost."""
    from accounts.roles import grant_roles

    grant_roles(apps)
