import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from config.local import demo, embedded
from config.local.processes import Process, Supervisor


class Command(BaseCommand):
    help = "Runs the whole portal on this machine until Ctrl-C: servers, web, worker and beat."
    requires_system_checks: list[str] = []
    interrupted = False
    ends_at_statements = False

    def handle(self, *args: Any, **options: Any) -> None:
        _require_free_port(settings.PORT)
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # all end alike, so that no server is left
            signal.signal(name, self._interrupt)
        with suppress(KeyboardInterrupt), ExitStack() as stack:
            self._start_servers(stack)
            self.ends_at_statements = True
            with connection.execute_wrapper(self._end_at_statement):
                self._prepare()
            self.ends_at_statements = False
            if not self.interrupted:
                self._run()
        self.stdout.write("Stopped.")

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ends the running step. Work in the database ends at its next statement.

        Python prints and drops what a signal raises inside a finalizer or the callback of a weak reference,
        and to import the migrations runs thousands of those.
        """
        self.interrupted = True
        if not self.ends_at_statements:
            raise KeyboardInterrupt

    def _end_at_statement(self, execute: Callable[..., Any], *statement: Any) -> Any:
        if self.interrupted:
            raise KeyboardInterrupt
        return execute(*statement)

    def _start_servers(self, stack: ExitStack) -> None:
        if not embedded.wanted():
            self.stdout.write("Using the servers of DATABASE_URL and REDIS_URL.")
            return
        self.stdout.write(f"Starting PostgreSQL and Valkey under {embedded.data_dir()} …")
        try:
            stack.enter_context(embedded.servers())
        except (embedded.EmbeddedServerError, OSError) as error:
            raise CommandError(str(error)) from None

    def _prepare(self) -> None:
        self.stdout.write("Updating the database …")
        try:
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                call_command("migrate", verbosity=0, interactive=False)
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {error}Check DATABASE_URL.") from None
        if settings.LOCAL_RUN:
            call_command("load_demo", stdout=self.stdout)
        connection.close()

    def _run(self) -> None:
        logs = settings.DATA_DIR / "log"
        logs.mkdir(parents=True, exist_ok=True)
        environment = {"PORTAL_LOCAL_RUN": "1"} if settings.LOCAL_RUN else {}
        os.environ.update(environment)
        supervisor = Supervisor(
            [Process(name, command, logs / f"{name}.log") for name, command in _commands().items()], _keep_servers
        )
        self.stdout.write("Starting web, worker and beat …")
        supervisor.start()
        try:
            if _wait_for_page(supervisor):
                self._print_addresses(logs)
            supervisor.watch()
        finally:
            self.stdout.write("Stopping …")
            supervisor.end()

    def _print_addresses(self, logs: Path) -> None:
        site = settings.SITE_URL
        lines = ["", f"  The portal      {site}/"]
        if settings.LOCAL_RUN:
            lines += [
                f"  Customer        {site}/signin/   {demo.CUSTOMER}, code by mail",
                f"  in Germany      {site}/signin/   {demo.IN_GERMANY}",
                f"  As a guest      {site}/cancel/   AT-104303 (username thirtyfirst, ultimo@customer.example)",
                f"  Staff           {site}/admin/   password {demo.STAFF_PASSWORD}",
                *(f"    {role:13} {role}@atntcrm.example" for role in demo.STAFF),
                f"  their codes     {site}/local/codes/   in place of their authenticator apps",
                f"  Outgoing mail   {site}/local/mail/   files in {settings.EMAIL_FILE_PATH}",
            ]
        self.stdout.write("\n".join([*lines, f"  Logs            {logs}", "", "Ctrl-C stops everything.", ""]))
        self.stdout.flush()


def _keep_servers() -> None:
    """Restarts an embedded server that was killed."""
    if embedded.wanted():
        try:
            embedded.ensure_running()
        except embedded.EmbeddedServerError as error:
            sys.stderr.write(f"{error}\n")


def _commands() -> dict[str, list[str]]:
    python, port = sys.executable, settings.PORT
    options = [
        "--config",
        "python:config.gunicorn",
        "--bind",
        f"127.0.0.1:{port}",
        "--workers",
        "2",
        "--no-control-socket",
        "--worker-tmp-dir",
        "/dev/shm",
    ]
    if not Path("/dev/shm").is_dir():
        options = options[:7]
    celery = [python, "-m", "celery", "-A", "config"]
    quiet = ["--loglevel", "WARNING"]
    worker = ["worker", "--concurrency", "2", "--without-gossip", "--without-mingle", *quiet]
    schedule = ["--schedule", str(settings.DATA_DIR / "beat-schedule"), "--pidfile", ""]
    return {
        "web": [python, "-m", "gunicorn", "config.wsgi", *options],
        "worker": [*celery, *worker],
        "beat": [*celery, "beat", *schedule, *quiet],
    }


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CommandError(f"Port {port} is in use. Choose another: PORT={port + 1} make run") from None


def _wait_for_page(supervisor: Supervisor) -> bool:
    for _ in range(150):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{settings.PORT}/healthz", timeout=2):
                return True
        except OSError:
            if supervisor.stopping:
                return False
            time.sleep(0.2)
    return True
