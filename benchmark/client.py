"""The parent's side of a worker process.

A worker is stopped whenever it is not asked for something, so that threads that
wait by spinning take nothing from the others.
"""

import ctypes
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

#: prctl's request for a signal when the parent dies: a stopped process would
#: stay for ever.
PR_SET_PDEATHSIG = 1
HERE = pathlib.Path(__file__).resolve().parent


class PeerError(Exception):
    """A peer that could not do what it was asked, and why."""


class Client:
    def __init__(self, name, module, folder, threads):
        self.name = name
        self.log = folder / f"{module}.log"
        environment = dict(os.environ)
        for variable in ("OMP", "MKL", "OPENBLAS"):
            environment[f"{variable}_NUM_THREADS"] = str(threads)
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        libc = ctypes.CDLL(None)

        def enter():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, cpus)

        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "worker.py", module, "--folder", folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                preexec_fn=enter,
            )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        answer = self._wait(120)
        if "missing" in answer:
            raise PeerError(answer["missing"])
        self._pause()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def _wait(self, seconds):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            self.close()
            raise PeerError(f"no answer within {seconds:.0f} s")
        if line is None:
            self.close()
            raise PeerError(f"its process ended; see {self.log.name}")
        return json.loads(line)

    @property
    def alive(self):
        return self.process.poll() is None

    def ask(self, do, timeout=300, **request):
        if not self.alive:
            raise PeerError("its process is gone")
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        answer = self._wait(timeout)
        self._pause()
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self):
        self.process.kill()
        self.process.wait()
