"""What stands in a log: lines that nobody can forge, and no link that opens something."""

import io
import logging
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from config.gunicorn import SafeLogger
from config.logs import LineFormatter
from config.settings import LOGGING

TOKEN = "WyJDUi03S1E0LU05WFQiLCJhQGIuZXhhbXBsZSJd:1wXyZ:AbC-_d"
FORGED = "\n2026-01-01 ERROR root all is lost\r\x1b[31m\x85\u2028\u202e\x00\x0b"


@pytest.fixture
def log():
    """A log with the formatter of the settings, and what it wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(LOGGING["formatters"]["line"]["format"]))
    logger = logging.Logger("portal")
    logger.addHandler(handler)
    logger.written = stream
    return logger


def test_every_formatter_of_the_settings_is_ours():
    assert {formatter["()"] for formatter in LOGGING["formatters"].values()} == {"config.logs.LineFormatter"}
    assert all(handler["formatter"] in LOGGING["formatters"] for handler in LOGGING["handlers"].values())


def test_a_message_is_one_line(log):
    log.warning("Not Found: %s", f"/{FORGED}")
    (line,) = log.written.getvalue().splitlines()
    assert line.endswith(
        r"WARNING portal Not Found: /\n2026-01-01 ERROR root all is lost\r\x1b[31m\x85\u2028\u202e\x00\x0b"
    )


def test_a_line_starts_with_its_time_in_utc(log):
    log.warning("x")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 WARNING", log.written.getvalue())


def test_a_traceback_follows_indented_and_begins_no_line(log):
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("It failed")
    first, *others = log.written.getvalue().splitlines()
    assert first.endswith("ERROR portal It failed")
    assert len(others) >= 4
    assert all(line.startswith("    ") for line in others)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (f"Not Found: /requests/proof/{TOKEN}/", "Not Found: /requests/proof/…/"),
        (f"/requests/proof/{TOKEN.replace(':', '%3A')}/?next=1", "/requests/proof/…/?next=…"),
        ("GET /admin/sign-in/?code=abc&state=d HTTP/1.1", "GET /admin/sign-in/?code=…&state=… HTTP/1.1"),
        ("https://crm.example/in?key=s3cret", "https://crm.example/in?key=…"),
        ("/admin/x/?q=Zoe%20B%C3%A4cker", "/admin/x/?q=…"),
        ("What? a=b & c", "What? a=b & c"),
    ],
)  # fmt: skip
def test_no_link_that_opens_something_is_written(log, text, written):
    log.error("%s", text)
    assert log.written.getvalue().endswith(f"portal {written}\n")


@pytest.fixture
def access(tmp_path):
    """Writes a line of gunicorn's access log for a request, and returns it."""
    config = Config()
    config.set("accesslog", str(tmp_path / "access.log"))
    logger = SafeLogger(config)

    def write(uri, **headers):
        environ = {"REMOTE_ADDR": "203.0.113.9", "REQUEST_METHOD": "GET", "RAW_URI": uri, "SERVER_PROTOCOL": "HTTP/1.1"}
        response = SimpleNamespace(status="200 OK", sent=7, headers=[])
        logger.access(response, SimpleNamespace(headers=[]), environ | headers, timedelta(seconds=1))
        return (tmp_path / "access.log").read_text()

    yield write
    for handler in logger.access_log.handlers[:]:
        logger.access_log.removeHandler(handler)
        handler.close()


def test_the_access_log_holds_no_token(access):
    referer = f"https://cancel.example.com/requests/proof/{TOKEN}/"
    line = access(f"/requests/proof/{TOKEN}/?a=secret", HTTP_REFERER=referer)
    assert TOKEN not in line
    assert "secret" not in line
    assert '"GET /requests/proof/…/?a=… HTTP/1.1" 200 7 "https://cancel.example.com/requests/proof/…/"' in line


def test_a_header_forges_no_line_of_the_access_log(access):
    assert access("/", HTTP_USER_AGENT=FORGED).count("\n") == 1
