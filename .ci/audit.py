"""Looks up the pinned production packages among known vulnerabilities (PyPI's data), with pip-audit.

Fails if one has a vulnerability. Says so and goes on if the data cannot be reached, as in a network without internet.
"""

import json
import subprocess
import sys

COMMAND = [sys.executable, "-m", "pip_audit", "--requirement", "requirements.txt", "--require-hashes", "--disable-pip",
           "--format", "json", "--progress-spinner", "off", "--timeout", "10"]  # fmt: skip


def main() -> int:
    audit = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except ValueError:
        print(f"NOT AUDITED: {(audit.stderr.strip().splitlines() or ['no answer'])[-1]}")
        return 0
    looked_up = [package for package in packages if "skip_reason" not in package]
    for package in looked_up:
        for fault in package["vulns"]:
            fixed = ", ".join(fault["fix_versions"]) or "no release yet"
            print(f"{package['name']} {package['version']}: {fault['id']}, fixed in {fixed}")
    if missing := len(packages) - len(looked_up):
        print(f"NOT AUDITED: {missing} of {len(packages)} packages; the data of vulnerabilities cannot be reached.")
    else:
        print(f"{len(packages)} packages audited.")
    return int(any(package["vulns"] for package in looked_up))


sys.exit(main())
