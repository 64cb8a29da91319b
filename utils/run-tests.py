#!/usr/bin/env python3
"""Runs every test of a build and prints one summary over all runners.

    utils/run-tests.py build [--full]

lit: everything under test/ but test/python, the C API and the plugin included.
pytest: test/python. Exits with 1 when anything failed or nothing ran.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]


def count(report):
    """Passed, failed and skipped of a JUnit file; None if it is not there."""
    if not report.exists():
        return None
    total = bad = skipped = 0
    for suite in ElementTree.parse(report).iter("testsuite"):
        total += int(suite.get("tests", 0))
        bad += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - bad - skipped, bad, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument(
        "--full", action="store_true", help="the long versions of tests too"
    )
    args = parser.parse_args()
    build = args.build.resolve()

    environment = dict(os.environ)
    environment["SCALING_BIN"] = str(build / "bin")
    environment["PATH"] = os.pathsep.join(
        [str(build / "bin"), "/usr/lib/llvm-22/bin", environment["PATH"]]
    )
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment.setdefault("OMP_NUM_THREADS", str(min(os.cpu_count() or 1, 4)))
    if args.full:
        environment["SCALING_TEST_FULL"] = "1"

    reports = build / "test" / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    runners = {
        "lit": ["/usr/lib/llvm-22/bin/lit", "-s", "-v", build / "test"]
        + ["--xunit-xml-output", reports / "lit.xml"],
        "pytest": [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rfE",
            "-p",
            "no:cacheprovider",
            # Tests of a file share what they compiled.
            f"--numprocesses={min(os.cpu_count() or 1, 4)}",
            "--dist=loadfile",
        ]
        + ["--junitxml", reports / "pytest.xml", ROOT / "test" / "python"],
    }

    passed = failed = skipped = 0
    for name, command in runners.items():
        print(f"== {name}", flush=True)
        report = reports / f"{name}.xml"
        report.unlink(missing_ok=True)
        start = time.monotonic()
        done = subprocess.run(
            [str(word) for word in command], env=environment, stdin=subprocess.DEVNULL
        )
        counts = count(report) or (0, 1, 0)
        # A runner that stops early (an error while collecting) is a failure.
        if done.returncode != 0 and counts[1] == 0 or counts[0] == 0:
            counts = (counts[0], counts[1] + 1, counts[2])
        passed, failed, skipped = (
            a + b for a, b in zip((passed, failed, skipped), counts)
        )
        seconds = time.monotonic() - start
        print(
            f"== {name}: {counts[0]} passed, {counts[1]} failed, "
            f"{counts[2]} skipped in {seconds:.0f} s",
            flush=True,
        )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
