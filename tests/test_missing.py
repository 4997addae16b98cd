"""A suite without Dovecot says so at the end, and fails in CI."""

import pytest

pytest_plugins = ["pytester"]
LINE = "2 tests were skipped: Dovecot is missing. On Debian: sudo apt-get install dovecot-imapd"


@pytest.fixture
def without_dovecot(pytester):
    pytester.makepyfile("""
        import pytest
        from tests import missing

        @pytest.fixture(scope="session")
        def imap_server():
            missing.skip(missing.DOVECOT)

        def test_one(imap_server): ...
        def test_two(imap_server): ...
        def test_three(): ...
    """)
    return lambda *args: pytester.runpytest_inprocess(
        "-p", "no:django", "-p", "no:playwright", "-p", "tests.missing", *args
    )


@pytest.mark.parametrize("args", [(), ("-q",)])
def test_one_line_at_the_end_names_the_command(without_dovecot, monkeypatch, args):
    monkeypatch.delenv("CI", raising=False)
    output = without_dovecot(*args)
    output.assert_outcomes(passed=1, skipped=2)
    assert LINE in output.outlines[-2:]


def test_in_ci_they_fail(without_dovecot, monkeypatch):
    monkeypatch.setenv("CI", "true")
    output = without_dovecot()
    output.assert_outcomes(passed=1, errors=2)
    assert LINE not in output.outlines
