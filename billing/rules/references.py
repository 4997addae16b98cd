import secrets

# Without 0/O, 1/I/L and U/V, because references are read over the telephone and typed from paper.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTWXYZ"


def new_reference(prefix: str) -> str:
    """A reference like CR-7KQ4-M9XT: not guessable, and without letters that look alike."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(8))
    return f"{prefix}-{letters[:4]}-{letters[4:]}"
