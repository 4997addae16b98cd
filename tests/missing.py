"""Says what was not tested because a program is missing: one line, with the command that installs it. In CI it fails.

A plugin, because only the process that prints the summary knows all skipped tests.
"""

import os
from typing import NoReturn

import pytest

DOVECOT = "Dovecot is missing. On Debian: sudo apt-get install dovecot-imapd"


def skip(what: str) -> NoReturn:
    """Skips the test on a developer's machine, and fails it in CI."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if DOVECOT in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests were skipped: {DOVECOT}", yellow=True)
