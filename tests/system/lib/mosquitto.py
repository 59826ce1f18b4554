# SPDX-License-Identifier: Apache-2.0
"""mosquitto with a folder, a port and a configuration of the test's."""
import getpass
import os
import re
import shutil

from .paths import MOSQUITTO_CONF
from .process import Process
from .waiting import free_port, listens, wait_for

# Debian installs it where only root's PATH looks.
BINARY = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

DEFAULTS = {
    "allow_anonymous": "true",
    "persistence": "true",
    "autosave_interval": "0",  # only at the end: a kill -9 forgets everything
    "max_queued_messages": "1000000",  # not 0, no limit: 2.0.21 refuses everything then
    "sys_interval": "1",
    "log_timestamp_format": "%H:%M:%S",
}


def missing():
    if BINARY is None:
        return "mosquitto is missing: packaging/install-packages system"
    return None


def shipped(folder, port):
    """The configuration that we ship, with the test's port and folder."""
    text = MOSQUITTO_CONF.read_text()
    text, listeners = re.subn(r"(?m)^listener 1883 127\.0\.0\.1$",
                              f"listener {port} 127.0.0.1", text)
    text, locations = re.subn(r"(?m)^(persistence_location) .*$", rf"\1 {folder}/", text)
    assert (listeners, locations) == (1, 1), "deploy/mosquitto/mosquitto.conf has changed"
    return text


class Mosquitto:
    """`listener`: {key: value} that belong to the listener, as TLS's; `settings`: the others; or
    `configuration`, a callable of the folder and the port, for all of the text."""

    def __init__(self, folder, log, listener=None, configuration=None, **settings):
        self.folder = folder
        self.log = log
        self.port = free_port()
        self.process = None
        folder.mkdir(parents=True, exist_ok=True)
        rows = {**DEFAULTS, "persistence_location": f"{folder}/", **settings}
        lines = [f"listener {self.port} 127.0.0.1"]
        lines += [f"{key} {value}" for key, value in (listener or {}).items()]
        lines += [f"{key} {value}" for key, value in rows.items()]
        text = configuration(folder, self.port) if configuration else "\n".join(lines)
        # As root it would become the user mosquitto, who can't write into the test's folder.
        (folder / "mosquitto.conf").write_text(f"{text}\nuser {getpass.getuser()}\n")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, seconds=30):
        self.process = Process("mosquitto", [BINARY, "-c", self.folder / "mosquitto.conf"],
                               self.log)
        wait_for(self.answers, seconds, f"mosquitto answers, see {self.log}")
        return self

    def answers(self):
        assert self.process.running(), f"mosquitto has ended, see {self.log}"
        return listens(self.port)

    def freeze(self):
        self.process.freeze()

    def thaw(self):
        self.process.thaw()

    def kill(self):
        self.process.kill()

    def terminate(self, seconds=60):
        """SIGTERM: it saves everything, also if that is much."""
        return self.process.terminate(seconds)

    def stop(self):
        if self.process is not None and self.process.running():
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def saved_bytes(self):
        """Of its database; 0 when there is none."""
        path = self.folder / "mosquitto.db"
        return os.path.getsize(path) if path.exists() else 0
