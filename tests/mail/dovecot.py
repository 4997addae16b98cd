"""A real IMAP server, Debian's Dovecot, started for the tests with data of its own and ended with them."""

import grp
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

NOBODY = 65534
PROGRAM = shutil.which("dovecot") or ("/usr/sbin/dovecot" if Path("/usr/sbin/dovecot").exists() else "")
PASSWORD = "pass/wörd"

CONFIG = """
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{base}/mail/%u
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail/%u
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    def __init__(self) -> None:
        # A short path that others may enter: its sockets have a limit of some hundred characters
        self.base = Path(tempfile.mkdtemp(prefix="imap-", dir="/tmp"))
        self.base.chmod(0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        uid, gid = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
        told = {
            "base": self.base, "port": self.port, "uid": uid, "gid": gid, "password": PASSWORD,
            "user": pwd.getpwuid(uid).pw_name, "group": grp.getgrgid(gid).gr_name,
        }  # fmt: skip
        for name in ("run", "state", "mail"):
            (self.base / name).mkdir(exist_ok=True)
        config = self.base / "dovecot.conf"
        config.write_text(CONFIG.format(**told))
        if os.getuid() == 0:
            for path in (self.base / "mail", self.base / "state"):
                os.chown(path, uid, gid)
        self._process = subprocess.Popen([PROGRAM, "-F", "-c", str(config)], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with imaplib.IMAP4("127.0.0.1", self.port) as client:
                    client.authenticate("PLAIN", lambda _: f"\0somebody\0{PASSWORD}".encode())
                return
            except (OSError, imaplib.IMAP4.error):
                time.sleep(0.1)
        log = self.base / "log"
        raise RuntimeError(f"Dovecot did not start: {log.read_text()[-2000:] if log.exists() else 'no log'}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        shutil.rmtree(self.base, ignore_errors=True)

    def mailbox(self, user: str) -> "Mailbox":
        return Mailbox(self.port, user)


class Mailbox:
    """The mailbox of one user; each name has one."""

    def __init__(self, port: int, user: str) -> None:
        self.port, self.user = port, user

    @property
    def url(self) -> str:
        return f"imap://{self.user}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/INBOX"

    def deliver(self, raw: bytes, at: datetime) -> None:
        """As a mail server would: the mail, with its time of arrival."""
        with self._client() as client:
            status, told = client.append("INBOX", "", imaplib.Time2Internaldate(at), raw)
            assert status == "OK", told

    def flags(self) -> list[bytes]:
        with self._client() as client:
            client.select("INBOX", readonly=True)
            return [bytes(one or b"") for one in client.fetch("1:*", "(UID FLAGS)")[1]]

    def begin_anew(self) -> None:
        """All mail copied into a folder made anew: other UIDs, another UIDVALIDITY."""
        with self._client() as client:
            client.create("kept")
            client.select("INBOX")
            client.copy("1:*", "kept")
            client.store("1:*", "+FLAGS", "\\Deleted")
            client.expunge()
            client.close()
            client.create("again")
            client.select("kept")
            client.copy("1:*", "again")

    @contextmanager
    def _client(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.port) as client:
            client.authenticate("PLAIN", lambda _: f"\0{self.user}\0{PASSWORD}".encode())
            yield client
