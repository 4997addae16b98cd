import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's loop runs in this thread
SHOTS = os.environ.get("SCREENSHOTS", "")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if found is None:
        pytest.exit("No Chromium is installed. On Debian: apt-get install chromium", returncode=2)
    args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    args += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    return {**browser_type_launch_args, "executable_path": found, "args": args}


@pytest.fixture
def shoot():
    """Keeps a picture of the page where SCREENSHOTS names a folder: to be looked at, not compared."""

    def keep(page: Page, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)

    return keep


@pytest.fixture
def phone(browser: Browser, live_server) -> BrowserContext:
    return browser.new_context(
        base_url=live_server.url, viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme="dark"
    )


@pytest.fixture
def desk(browser: Browser, live_server) -> BrowserContext:
    return browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})


@pytest.fixture
def mailbox(settings):
    """Sends what the outbox holds and gives the newest mail's text."""
    from email import message_from_bytes, policy

    from django.utils import timezone

    from messaging.services.outbox import deliver_due

    settings.EMAIL_BACKEND = "config.local.mail_files.EmailBackend"

    def newest(to: str) -> str:
        deliver_due(now=timezone.now())
        for path in sorted(Path(settings.EMAIL_FILE_PATH).glob("*.eml"), reverse=True):
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            if to in mail["To"]:
                return mail["Subject"] + "\n" + mail.get_body(("plain",)).get_content()
        raise AssertionError(f"No mail to {to}")

    return newest
