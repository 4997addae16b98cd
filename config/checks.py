"""What is refused at start: settings under which the portal would be open to strangers. Pure: no Django."""

SECRET_CHARACTERS = 50  # as Django's own check of a deployment asks for (security.W009)
SECRET_DISTINCT = 5
HOW_TO_MAKE_ONE = "Make one: head -c 40 /dev/urandom | base64"


def refusals(
    *, local_run: bool, secret_key: str, debug: bool, site_url: str, database_url: str, redis_url: str
) -> list[str]:
    """Sentences that say what to set; empty where the settings may be used."""
    if local_run:
        return _refusals_of_a_local_run(site_url)
    problems = []
    if not database_url:
        problems.append("Set DATABASE_URL, like postgres://user:password@host:5432/name. To try the portal: make run.")
    if not redis_url:
        problems.append("Set REDIS_URL, like redis://host:6379/0. To try the portal: make run.")
    if not secret_key:
        problems.append(f"Set SECRET_KEY, the same for web, worker and beat. {HOW_TO_MAKE_ONE}")
    elif len(secret_key) < SECRET_CHARACTERS or len(set(secret_key)) < SECRET_DISTINCT:
        problems.append(f"Set a SECRET_KEY of {SECRET_CHARACTERS} random characters or more. {HOW_TO_MAKE_ONE}")
    if debug:
        problems.append("Remove DEBUG: its pages show the settings and the code to everybody.")
    if not site_url.startswith("https://"):
        problems.append("Set SITE_URL to the https:// address of the portal: cookies and links are for that alone.")
    return problems


def _refusals_of_a_local_run(site_url: str) -> list[str]:
    """A local run shows its mail and the codes of its staff to everybody, so it must not be a public site."""
    if site_url.startswith("https://"):
        return [
            "Remove PORTAL_LOCAL_RUN: a local run shows all mail and sign-in codes, and SITE_URL names a public site."
        ]
    return []
