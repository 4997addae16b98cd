"""What checking a staff password costs, with our hasher and with Django's default: `python -m bench.passwords`."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from config.sign_in.hashing import Argon2

TIMES = 10


def cost(hash_password: Callable[[str, str], str]) -> float:
    """Milliseconds of processor time, by the mean of some hashes."""
    started = time.process_time()
    for _ in range(TIMES):
        hash_password("heron-violet-7-lantern", "saltsaltsaltsaltsaltsalt")
    return (time.process_time() - started) / TIMES * 1000


def main() -> None:
    settings.configure()
    ours, default = cost(Argon2().encode), cost(PBKDF2PasswordHasher().encode)
    print(f"Argon2id {ours:.0f} ms, PBKDF2 {default:.0f} ms, ratio {ours / default:.2f}")


if __name__ == "__main__":
    main()
