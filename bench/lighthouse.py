"""Runs Lighthouse against a portal with demo data: `make lighthouse`.

Lighthouse comes from npm, pinned, into .lighthouse/; Chromium is Debian's. A phone on a slow network is simulated.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent / ".lighthouse"
PACKAGES = ("lighthouse@12.8.2", "puppeteer-core@24.10.0")
GOALS = {"performance": 95, "accessibility": 100, "practices": 100}


def main() -> int:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    for program, what in (
        (chromium, "Chromium (on Debian: apt-get install chromium)"),
        (shutil.which("npm"), "Node.js with npm, 18 or newer (on Debian: apt-get install npm)"),
    ):
        if not program:
            print(f"Missing: {what}.")
            return 2
    if not (MODULES / "node_modules" / "lighthouse").is_dir():
        print("Installing Lighthouse from npm (a minute, the first time) …")
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--prefix", str(MODULES), *PACKAGES], check=True)
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        environment = {**os.environ, "PORT": str(port), "PORTAL_DATA_DIR": folder}
        portal = subprocess.Popen(
            [sys.executable, "manage.py", "up"], env=environment, cwd=HERE.parent, stdout=subprocess.DEVNULL
        )
        try:
            base = f"http://localhost:{port}"
            _wait_for(f"{base}/readyz", portal)
            command = ["node", str(HERE / "lighthouse.mjs"), base, str(chromium), str(MODULES)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            portal.send_signal(signal.SIGINT)
            portal.wait(timeout=60)
    if result.returncode:
        print(result.stderr[-3000:])
        return result.returncode
    return _report(json.loads(result.stdout.strip().splitlines()[-1]))


def _report(rows: list[dict[str, object]]) -> int:
    print(f"{'page':<14}" + "".join(f"{name:>16}" for name in GOALS) + f"   goals: {GOALS}")
    missed = 0
    for row in rows:
        failed = row["failed"]
        print(f"{row['page']:<14}" + "".join(f"{row[name]:>16}" for name in GOALS) + f"   {failed or ''}")
        missed += any(int(str(row[name])) < goal for name, goal in GOALS.items())
    print("All goals are met." if not missed else f"{missed} pages miss a goal.")
    return 1 if missed else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, portal: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and portal.poll() is None:
        try:
            with urlopen(url) as response:  # noqa: S310 - our own address
                if response.status == 200:
                    return
        except (URLError, ConnectionError):
            pass
        time.sleep(0.5)
    raise SystemExit("The portal did not start. Run `make run` to see why.")


if __name__ == "__main__":
    raise SystemExit(main())
