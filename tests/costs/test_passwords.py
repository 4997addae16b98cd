"""What checking a password of staff costs, and what happens when many are checked at once."""

import threading

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password
from django.urls import reverse

from config.sign_in import hashing
from tests import cast
from tests.cast import fresh

PASSWORD = "heron-violet-7-lantern"


@pytest.fixture(autouse=True)
def our_hashers(settings):
    settings.PASSWORD_HASHERS = ["config.sign_in.hashing.Argon2", "config.sign_in.hashing.FormerPBKDF2"]


def sign_in(client, user, password):
    return client.post(reverse("admin:login"), {"username": user.email, "password": password})


def test_a_hash_costs_what_owasp_recommends_at_least():
    encoded = make_password(PASSWORD)
    assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert check_password(PASSWORD, encoded)
    assert not check_password("heron", encoded)


@pytest.mark.django_db
def test_a_password_hashed_before_works_and_is_hashed_anew(client):
    anna = cast.staff("support")
    anna.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt" * 6, iterations=1000)
    anna.save()
    assert sign_in(client, anna, PASSWORD).status_code == 302
    assert fresh(anna).password.startswith("argon2$")


def test_one_password_is_hashed_at_a_time(monkeypatch):
    running, most = [], []

    def slowly(self, password, encoded):
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.02)
        running.pop()
        return True

    monkeypatch.setattr("django.contrib.auth.hashers.Argon2PasswordHasher.verify", slowly)
    refused = []

    def check():
        try:
            hashing.Argon2().verify("x", "y")
        except hashing.HashingBusy:
            refused.append(1)

    threads = [threading.Thread(target=check) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) + len(refused) == 12
    assert len(most) >= hashing.MOST_WAITING


@pytest.mark.django_db
def test_who_finds_it_busy_reads_when_to_try_again(client):
    anna = cast.staff("support")
    taken = [hashing._places.acquire(blocking=False) for _ in range(hashing.MOST_WAITING)]
    try:
        answer = sign_in(client, anna, PASSWORD)
    finally:
        for _ in filter(None, taken):
            hashing._places.release()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "try again in a few seconds" in answer.content.decode()
    assert sign_in(client, anna, PASSWORD).status_code == 422
