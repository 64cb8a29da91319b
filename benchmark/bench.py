#!/usr/bin/env python3
"""Runs the workloads for us and for every peer, in interleaved rounds.

bench.py --bin build/bin --out build/bench [W1,W3-4x4,...]
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

import machine
import numpy as np
import report
import workloads
from client import Client, PeerError
from peers import OURS, PEERS

#: What takes longer than this per call, in seconds, is run in fewer rounds.
SLOW = 1.0
SLOW_ROUNDS = 3
#: And from here on the first call is all there is.
VERY_SLOW = 10.0
#: Compiling and the first calls of a peer may take so long.
PREPARE_SECONDS = 600
#: The form of a peer that does something easier.
SOFTMAX = "softmax"
#: Timed calls of a round go on for so many seconds.
ROUND_SECONDS = 0.02


def say(text):
    print(text, file=sys.stderr, flush=True)


class Entry:
    """One peer in one form at one workload."""

    def __init__(self, client, peer, form):
        self.client = client
        self.peer = peer
        self.form = form
        self.times = []
        #: The fastest call of all, in milliseconds.
        self.best = float("inf")
        self.note = ""
        self.notes = {}
        self.rounds = 0
        self.failed = False

    @property
    def name(self):
        return f"{self.peer} {self.form}".strip()

    def fail(self, reason):
        self.failed = True
        # Compilers put a headline before what is wrong.
        lines = reason.splitlines()
        self.note = next((x for x in lines if " error: " in x), lines[0])[:200]
        say(f"   {self.name}: {self.note}")

    def measure(self, seconds):
        answer = self.client.ask("measure", form=self.form, seconds=seconds)
        self.best = min(self.best, answer["best_ms"])
        return answer["ms"]

    @property
    def ms(self):
        return statistics.median(self.times) if self.times else None


class Bench:
    def __init__(self, folder, threads, rounds, peers):
        self.folder = folder
        self.threads = threads
        self.rounds = rounds
        self.clients = {}
        self.missing = {}
        self.names = peers

    def client(self, peer):
        """The peer's process, started when first needed or when it has died."""
        if peer in self.missing:
            raise PeerError(self.missing[peer])
        client = self.clients.get(peer)
        if client is None or not client.alive:
            try:
                client = Client(peer, PEERS[peer], self.folder, self.threads)
            except PeerError as error:
                self.missing[peer] = str(error)
                say(f"   {peer} is missing: {error}")
                raise
            self.clients[peer] = client
        return client

    def prepare(self, entry, workload, attempts, expected):
        """Gets the entry ready and compares its results with ours."""
        errors = ()
        for attempt in range(max(attempts, 1)):
            answer = entry.client.ask(
                "prepare",
                PREPARE_SECONDS,
                workload=workload.id,
                form=entry.form,
                attempt=attempt,
            )
            with np.load(answer["results"]) as file:
                results = [file[key] for key in file.files]
            os.unlink(answer["results"])
            if workload.marginal_error is None:
                break
            errors = workloads.marginal_errors(results[0])
            answer["notes"]["marginal_errors"] = errors
            if max(errors) <= workload.marginal_error:
                break
        entry.notes = answer["notes"]
        if workload.marginal_error is not None:
            if not max(errors) <= workload.marginal_error:
                entry.note = f"marginal errors {errors[0]:.1e}, {errors[1]:.1e}"
        elif entry.form == SOFTMAX:
            entry.note = "another result, for comparison"
        elif expected is not None:
            compared = expected[: len(results)]
            distance = workloads.difference(results[: len(compared)], compared)
            entry.notes["difference"] = distance
            if not distance <= workload.tolerance:
                entry.note = f"results differ by {distance:.1e}"
        return results

    def start(self, peer, form, attempts, workload, expected):
        """An entry that is ready, its results compared, and the results."""
        entry = Entry(self.client(peer), peer, form)
        try:
            results = self.prepare(entry, workload, attempts, expected)
            first = entry.measure(0.0)
        except PeerError as error:
            entry.fail(str(error))
            return entry, None
        entry.rounds = self.rounds
        if first > 1e3 * VERY_SLOW:
            entry.times, entry.rounds = [first], 0
        elif first > 1e3 * SLOW:
            entry.rounds = min(SLOW_ROUNDS, self.rounds)
        say(f"   {entry.name}: {first:.3g} ms {entry.note}")
        return entry, results

    def run(self, workload):
        """The entries of all peers that take part, ours first, and our results."""
        say(f"== {workload.id}: {workload.title}")
        entries, ours = [], None
        for peer in self.names:
            try:
                forms = self.client(peer).ask("forms", workload=workload.id)
            except PeerError:
                continue
            for form, attempts in forms.items():
                try:
                    entry, results = self.start(peer, form, attempts, workload, ours)
                except PeerError:
                    break
                entries.append(entry)
                if peer == OURS:
                    ours = results
            if ours is None:
                say("   nothing to compare with: the workload is left out")
                break
        self.time([entry for entry in entries if not entry.failed])
        for client in self.clients.values():
            if client.alive:
                client.ask("forget")
        return entries, ours

    def time(self, entries):
        """Interleaved rounds: every entry once, then every entry again."""
        for index in range(self.rounds):
            for entry in entries:
                if entry.failed or index >= entry.rounds:
                    continue
                try:
                    entry.times.append(entry.measure(ROUND_SECONDS))
                except PeerError as error:
                    entry.fail(str(error))
            if sys.stderr.isatty():
                print(
                    f"\r   round {index + 1} of {self.rounds}", end="", file=sys.stderr
                )
        if sys.stderr.isatty():
            print("\r", end="", file=sys.stderr)

    def close(self):
        for client in self.clients.values():
            client.close()


def rows_of(workload, entries, ours, rates):
    """The rows of bench.json for one workload."""
    limit, binding = (None, "")
    if ours is not None:
        counts = workload.counts(workload.sizes, ours)
        limit, binding = machine.limit_ms(counts, rates)
    own = next((e.ms for e in entries if e.peer == OURS and e.ms), None)
    rows = []
    for entry in entries:
        known = own is not None and entry.ms is not None
        rows.append(
            {
                "workload": workload.id,
                "ours_ms": own,
                "peer": entry.peer,
                "form": entry.form,
                "peer_ms": entry.ms,
                "ratio": entry.ms / own if known else None,
                "limit_ms": limit,
                "of_limit": limit / own if own and limit else None,
                "bound": binding,
                "best_ms": entry.best if entry.times else None,
                "rounds": len(entry.times),
                "note": entry.note,
                **entry.notes,
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "workloads", nargs="?", default="", help="such as W1,W3-4x4; all by default"
    )
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", default=",".join(PEERS), help="all, by commas")
    args = parser.parse_args()
    os.environ["SCALING_BIN"] = str(args.bin.resolve())
    chosen = workloads.select(args.workloads.split(",") if args.workloads else [])
    names = [name for name in PEERS if name in {OURS, *args.peers.split(",")}]

    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    say("== the limits of this machine")
    rates = machine.measure(out, args.threads)
    say(machine.describe(rates))
    bench = Bench(out, args.threads, args.rounds, names)
    rows = []
    start = time.monotonic()
    try:
        for workload in chosen:
            entries, ours = bench.run(workload)
            rows += rows_of(workload, entries, ours, rates)
            print(report.table([r for r in rows if r["workload"] == workload.id]))
            sys.stdout.flush()
    finally:
        bench.close()
        report.write(out, rows, rates, bench.missing, chosen)
    say(f"== {time.monotonic() - start:.0f} s; results in {out}")


if __name__ == "__main__":
    main()
