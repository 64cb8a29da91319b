"""Runs scaling-opt on many small modules at once, and tells them apart.

The modules of a batch go into one file for --split-input-file. Each carries a
function of its own as a marker: a module that went through is printed, with its
marker; one that did not has an `error:` with a line of its own. A module with
neither failed in silence; when the process dies, halving the batch finds whose
fault it was.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from findtool import find_tool

SEPARATOR = "// -----"
ERROR = re.compile(r":(\d+):\d+: error: (.*)")
SANITIZER = re.compile(r"ERROR: \w+Sanitizer: .*|\S*: runtime error: .*")
#: Seconds for a batch; the endless loop of one module is found like a crash.
TIMEOUT = 120


@dataclass
class Verdict:
    """What became of each module of a batch, by its index."""

    passed: dict = field(default_factory=dict)  # index -> printed text
    refused: dict = field(default_factory=dict)  # index -> first error
    silent: list = field(default_factory=list)
    crashed: dict = field(default_factory=dict)  # index -> how it died

    def update(self, other):
        self.passed.update(other.passed)
        self.refused.update(other.refused)
        self.silent += other.silent
        self.crashed.update(other.crashed)


def marker(index):
    return f"func.func private @marker_{index}_()"


def run(modules, options, limit=TIMEOUT):
    """The verdict on {index: text}."""
    lines, starts = [], []
    for index, text in modules.items():
        starts.append((len(lines) + 1, index))
        lines += [*text.splitlines(), marker(index), SEPARATOR]
    command = [find_tool("scaling-opt"), "--split-input-file", *options]
    with tempfile.NamedTemporaryFile("w", suffix=".mlir", encoding="utf-8") as file:
        file.write("\n".join(lines[:-1]) + "\n")
        file.flush()
        try:
            done = subprocess.run(
                [*command, file.name], capture_output=True, timeout=limit, check=False
            )
            out = done.stdout.decode("utf-8", "replace")
            err = done.stderr.decode("utf-8", "replace")
            died = f"signal {-done.returncode}" if done.returncode < 0 else None
            # A handler of the tool may turn a signal into an exit status.
            if done.returncode > 125 or "PLEASE submit a bug report" in err:
                died = died or f"exit status {done.returncode}"
            # The sanitizers end the tool with the status of an error.
            if found := SANITIZER.search(err):
                died = found.group()
        except subprocess.TimeoutExpired:
            died = f"no end after {limit} s"
    if died:
        if len(modules) == 1:
            (index,) = modules
            return Verdict(crashed={index: died})
        indices = list(modules)
        verdict = Verdict()
        for half in (indices[: len(indices) // 2], indices[len(indices) // 2 :]):
            verdict.update(
                run({i: modules[i] for i in half}, options, max(10, limit // 2))
            )
        return verdict

    verdict = Verdict()
    for printed in out.split(SEPARATOR):
        found = re.search(r"marker_(\d+)_", printed)
        if found:
            verdict.passed[int(found.group(1))] = printed
    for found in ERROR.finditer(err):
        line = int(found.group(1))
        index = next(i for start, i in reversed(starts) if start <= line)
        if index not in verdict.passed:
            verdict.refused.setdefault(index, found.group(2))
    verdict.silent = [
        index
        for index in modules
        if index not in verdict.passed and index not in verdict.refused
    ]
    if verdict.refused or verdict.silent:
        assert done.returncode != 0, "errors, but exit status 0"
    return verdict


def check(verdict, modules, what):
    """Fails with the text of the modules that took the tool down."""
    report = []
    for index, how in list(verdict.crashed.items())[:3]:
        report.append(f"{what}: {how} on\n{modules[index]}")
    for index in verdict.silent[:3]:
        report.append(f"{what}: neither output nor error on\n{modules[index]}")
    bad = len(verdict.crashed) + len(verdict.silent)
    assert not bad, f"{bad} of {len(modules)} modules\n" + "\n\n".join(report)
