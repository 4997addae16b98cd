"""What a start refuses, so that nobody serves a portal that is open to strangers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import RequestFactory

from accounts.visitors import address_of
from config.checks import refusals
from config.settings import CACHES
from config.web.cache import SharedCache

SOUND = {
    "local_run": False,
    "secret_key": "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghij",
    "debug": False,
    "site_url": "https://cancel.example.com",
    "database_url": "postgres://u:p@db/portal",
    "redis_url": "redis://redis:6379/0",
}


def test_a_sound_start_is_not_refused():
    assert refusals(**SOUND) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"database_url": ""}, "Set DATABASE_URL"),
        ({"redis_url": ""}, "Set REDIS_URL"),
        ({"secret_key": ""}, "Set SECRET_KEY"),
        ({"secret_key": "x"}, "50 random characters"),
        ({"secret_key": "x" * 60}, "50 random characters"),
        ({"debug": True}, "Remove DEBUG"),
        ({"site_url": "http://cancel.example.com"}, "Set SITE_URL to the https://"),
        ({"local_run": True}, "Remove PORTAL_LOCAL_RUN"),
    ],
)
def test_each_unsafe_setting_is_refused_with_what_to_set(change, says):
    (sentence,) = refusals(**{**SOUND, **change})
    assert says in sentence


def started(*command, **environment):
    names = ("DATABASE_URL", "REDIS_URL", "PORTAL_LOCAL_RUN", "SECRET_KEY", "SITE_URL", "DEBUG")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    root = Path(__file__).parent.parent
    return subprocess.run(
        [sys.executable, *command], env=clean | environment, cwd=root, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("missing", ["DATABASE_URL", "REDIS_URL"])
@pytest.mark.parametrize("process", ["config.wsgi", "config.settings"])
def test_a_production_start_without_its_servers_is_no_local_run(missing, process):
    given = {"DATABASE_URL": "postgres://u:p@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
    del given[missing]
    ended = started("-c", f"import {process}", SECRET_KEY=SOUND["secret_key"], SITE_URL=SOUND["site_url"], **given)
    assert ended.returncode != 0
    assert f"Set {missing}" in ended.stderr


def test_a_secret_may_stand_in_a_file(tmp_path):
    secrets = {
        "SECRET_KEY": SOUND["secret_key"],
        "DATABASE_URL": "postgres://u:p@127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(value + "\n")
    files = {f"{name}_FILE": str(tmp_path / name) for name in secrets}
    show = "from config import settings; print([settings.SECRET_KEY, settings.DATABASES['default']['NAME']])"
    ended = started("-c", show, SITE_URL=SOUND["site_url"], **files)
    assert ended.stdout.strip() == str([SOUND["secret_key"], "x"])


def test_the_check_of_a_deployment_says_all_at_once():
    ended = started("manage.py", "check", "--tag", "security", SECRET_KEY="x", DEBUG="1", SITE_URL="http://a.example")
    assert ended.returncode != 0
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "SITE_URL"):
        assert name in ended.stderr


class TestTheAddressOfAClient:
    def asked(self, settings, proxies, forwarded):
        settings.BEHIND_PROXY = proxies
        return address_of(RequestFactory().get("/", headers=forwarded and {"X-Forwarded-For": forwarded}))

    @pytest.mark.parametrize(
        ("proxies", "forwarded", "address"),
        [
            (0, "203.0.113.9", "127.0.0.1"),  # without a proxy of ours, the header is anybody's
            (1, "203.0.113.9", "203.0.113.9"),
            (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # what stands before was sent by the client
            (2, "198.51.100.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
            (2, "203.0.113.9", "127.0.0.1"),  # fewer than there are proxies: it did not come through them
            (1, "", "127.0.0.1"),
            (1, None, "127.0.0.1"),
        ],
    )
    def test_is_the_one_that_our_outermost_proxy_saw(self, settings, proxies, forwarded, address):
        assert self.asked(settings, proxies, forwarded) == address


class TestTheCacheOfRateLimits:
    def test_counts_in_memory_while_redis_is_away(self):
        cache = SharedCache("redis://127.0.0.1:1/0", {"OPTIONS": {"socket_connect_timeout": 0.2}})
        cache.clear()
        assert cache.add("tries", 1) is True
        assert cache.incr("tries") == 2
        assert cache.get("tries") == 2

    def test_counts_in_redis_for_all_processes(self):
        setting = CACHES["default"]
        first, second = (SharedCache(setting["LOCATION"], dict(setting)) for _ in range(2))
        first.delete("tries-of-a-test")
        first.set("tries-of-a-test", 7, 60)
        assert second.get("tries-of-a-test") == 7
