# SPDX-License-Identifier: Apache-2.0
"""A child process with its log, ended by its pid whatever happens to the test."""
import atexit
import ctypes
import os
import signal
import subprocess
import weakref

from .waiting import wait_for

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_alive = weakref.WeakSet()


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    def __init__(self, name, command, log, env=None, cwd=None):
        """Starts at once; standard output and error are added to the file `log`."""
        self.name = name
        self.log = log
        self.command = [str(word) for word in command]
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as out:
            self._popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                           stderr=out, env=env, cwd=cwd,
                                           preexec_fn=_die_with_parent)
        self.pid = self._popen.pid
        _alive.add(self)

    def running(self):
        return self._popen.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def freeze(self):
        self.signal(signal.SIGSTOP)
        wait_for(lambda: self._status("State").startswith("T"), 5, f"{self.name} is stopped")

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """kill -9; the exit is awaited."""
        self.signal(signal.SIGKILL)
        return self.wait(60)

    def terminate(self, seconds=60):
        """SIGTERM; returns the exit status, or fails when it takes longer."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds):
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) still runs after {seconds} s")

    def log_text(self):
        return self.log.read_text(errors="replace")

    def _status(self, key):
        with open(f"/proc/{self.pid}/status") as lines:
            for line in lines:
                if line.startswith(key + ":"):
                    return line.split(":", 1)[1].strip()
        return ""

    def rss_mb(self):
        """Resident memory now, in MB (10^6 bytes); 0 when it has ended."""
        try:
            return int((self._status("VmRSS") or "0").split()[0]) * 1024 / 1e6
        except OSError:
            return 0

    def rss_max_mb(self):
        """The most that was resident since it started, in MB (10^6 bytes)."""
        return int(self._status("VmHWM").split()[0]) * 1024 / 1e6


def end_all():
    for one in list(_alive):
        if one.running():
            one.signal(signal.SIGKILL)
            one.wait(60)


atexit.register(end_all)
