from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime

import pytest
from django.test import TransactionTestCase
from hypothesis import settings as hypothesis_settings

from tests import databases

# A busy machine is no fault of the code: speed is measured in bench/, never by a test's clock.
hypothesis_settings.register_profile("portal", deadline=None)
hypothesis_settings.load_profile("portal")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: started last, one of them would run on one core while the others have nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_blocker) -> Iterator[None]:
    """In place of pytest-django's: a copy of a template, and back to it after each test that commits."""
    TransactionTestCase._fixture_teardown = lambda self: databases.restore()
    held = ExitStack()
    with django_db_blocker.unblock():
        held.enter_context(databases.own())
    yield
    with django_db_blocker.unblock():
        held.close()


@pytest.fixture(autouse=True)
def _plain_settings(settings, tmp_path) -> None:
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    in_memory = "django.core.cache.backends.locmem.LocMemCache"  # rate limits of one test are not those of another
    settings.CACHES = {"default": {"BACKEND": in_memory, "LOCATION": str(tmp_path)}}


@pytest.fixture
def now() -> datetime:
    from tests.cast import NOW

    return NOW
