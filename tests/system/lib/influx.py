# SPDX-License-Identifier: Apache-2.0
"""InfluxDB 1.x with a folder and ports of its own."""
import json
import shutil
import urllib.parse
import urllib.request

from .process import Process
from .waiting import free_port, wait_for

CONFIGURATION = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


def missing():
    if shutil.which("influxd") is None:
        return "influxd is missing: packaging/install-packages run"
    return None


class Influx:
    def __init__(self, folder, log):
        self.folder = folder
        self.log = log
        self.port = free_port()
        self.process = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "influxdb.conf").write_text(CONFIGURATION.format(
            folder=folder, port=self.port, rpc_port=free_port()))

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds=60):
        self.process = Process("influxd", ["influxd", "run", "-config",
                                           self.folder / "influxdb.conf"], self.log)
        wait_for(self.answers, seconds, f"InfluxDB answers, see {self.log}")
        return self

    def answers(self):
        assert self.process.running(), f"InfluxDB has ended, see {self.log}"
        with urllib.request.urlopen(f"{self.uri}/ping", timeout=2) as answer:
            return answer.status == 204

    def freeze(self):
        self.process.freeze()

    def thaw(self):
        self.process.thaw()

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process is not None and self.process.running():
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def query(self, text, database=None):
        """The answer of /query, parsed; times as nanoseconds."""
        form = {"q": text, "epoch": "ns"}
        if database is not None:
            form["db"] = database
        with urllib.request.urlopen(f"{self.uri}/query", urllib.parse.urlencode(form).encode(),
                                    timeout=30) as answer:
            return json.load(answer)

    def create_database(self, database):
        self.query(f'CREATE DATABASE "{database}"')
        return database

    def rows(self, text, database):
        """The rows of the first series as dictionaries; [] when there is none."""
        result = self.query(text, database)["results"][0]
        assert "error" not in result, result
        if "series" not in result:
            return []
        series = result["series"][0]
        return [dict(zip(series["columns"], values)) for values in series["values"]]

    def values(self, field, measurement, database):
        """All values of a field, in the order of time."""
        rows = self.rows(f'SELECT "{field}" FROM "{measurement}"', database)
        return [row[field] for row in rows]

    def count(self, field, measurement, database):
        rows = self.rows(f'SELECT count("{field}") FROM "{measurement}"', database)
        return rows[0]["count"] if rows else 0
