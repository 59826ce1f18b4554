# SPDX-License-Identifier: Apache-2.0
"""InfluxDB 1.x and 2.x with a folder and ports of their own."""
import csv
import io
import json
import os
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
  max-body-size = {body_bytes_max}
"""


def missing():
    if shutil.which("influxd") is None:
        return "influxd is missing: packaging/install-packages run"
    return None


class Influx:
    def __init__(self, folder, log, body_bytes_max=25_000_000):
        self.folder = folder
        self.log = log
        self.port = free_port()
        self.process = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "influxdb.conf").write_text(CONFIGURATION.format(
            folder=folder, port=self.port, rpc_port=free_port(),
            body_bytes_max=body_bytes_max))

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

    def write(self, database, lines):
        """Line protocol, straight into the server."""
        request = urllib.request.Request(f"{self.uri}/write?db={urllib.parse.quote(database)}",
                                         lines.encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 204

    def create_database(self, database, retention_days=0):
        duration = f" WITH DURATION {retention_days}d" if retention_days else ""
        self.query(f'CREATE DATABASE "{database}"{duration}')
        return database

    def keep_for_ever(self, database):
        self.query(f'ALTER RETENTION POLICY "autogen" ON "{database}" DURATION INF')

    def numbers(self, field, measurement, database):
        return sorted(self.values(field, measurement, database))

    def settings(self, database):
        """Of a worker that writes there."""
        return {"INFLUXDB_DATABASE": database}

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

    def tag_values(self, tag, measurement, database):
        rows = self.rows(f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{tag}"', database)
        return {row["value"] for row in rows}

    def count(self, field, measurement, database):
        rows = self.rows(f'SELECT count("{field}") FROM "{measurement}"', database)
        return rows[0]["count"] if rows else 0


def missing2():
    if not os.environ.get("INFLUXD2"):
        return "InfluxDB 2 is missing: INFLUXD2 names no binary of influxd 2.7"
    return None


class Influx2:
    """InfluxDB 2.x, set up with an organisation, a token and whatever buckets are made."""
    ORG = "millrace"
    TOKEN = "token-of-the-tests"

    def __init__(self, folder, log):
        self.folder = folder
        self.log = log
        self.port = free_port()
        self.process = None
        self._org_id = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds=60):
        self.process = Process("influxd2", [
            os.environ["INFLUXD2"], f"--http-bind-address=127.0.0.1:{self.port}",
            f"--bolt-path={self.folder}/bolt", f"--engine-path={self.folder}/engine",
            f"--sqlite-path={self.folder}/sqlite", "--reporting-disabled"], self.log)
        wait_for(self.answers, seconds, f"InfluxDB 2 answers, see {self.log}")
        answer = self._call("POST", "/api/v2/setup", {
            "username": "tests", "password": "tests-of-millrace", "org": self.ORG,
            "bucket": "first", "token": self.TOKEN}, authorized=False)
        self._org_id = answer["org"]["id"]
        return self

    def answers(self):
        assert self.process.running(), f"InfluxDB 2 has ended, see {self.log}"
        with urllib.request.urlopen(f"{self.uri}/ping", timeout=2) as answer:
            return answer.status == 204

    def stop(self):
        if self.process is not None and self.process.running():
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self, method, path, body, headers):
        return urllib.request.urlopen(urllib.request.Request(
            self.uri + path, body, {"Authorization": f"Token {self.TOKEN}", **headers},
            method=method), timeout=30)

    def _call(self, method, path, body, authorized=True):
        headers = {"Content-Type": "application/json"}
        if not authorized:
            headers["Authorization"] = ""
        with self._open(method, path, json.dumps(body).encode(), headers) as answer:
            return json.load(answer)

    def create_database(self, bucket, retention_days=0):
        self._call("POST", "/api/v2/buckets", {
            "orgID": self._org_id, "name": bucket,
            "retentionRules": [{"type": "expire", "everySeconds": retention_days * 86400}]
            if retention_days else []})
        return bucket

    def keep_for_ever(self, bucket):
        query = urllib.parse.urlencode({"org": self.ORG, "name": bucket})
        with self._open("GET", f"/api/v2/buckets?{query}", None, {}) as answer:
            id_ = json.load(answer)["buckets"][0]["id"]
        self._call("PATCH", f"/api/v2/buckets/{id_}", {
            "retentionRules": [{"type": "expire", "everySeconds": 0}]})  # [] changes nothing

    def write(self, bucket, lines):
        query = urllib.parse.urlencode({"org": self.ORG, "bucket": bucket, "precision": "ns"})
        self._open("POST", f"/api/v2/write?{query}", lines.encode(), {}).close()

    def values(self, field, measurement, bucket):
        """All values of a field as text, in no order."""
        return self._column("_value", bucket, f'r._measurement == "{measurement}" and '
                            f'r._field == "{field}"')

    def tag_values(self, tag, measurement, bucket):
        return set(self._column(tag, bucket, f'r._measurement == "{measurement}" and '
                                f'exists r.{tag}'))

    def _column(self, column, bucket, condition):
        flux = (f'from(bucket: "{bucket}") |> range(start: 0, stop: 2100-01-01T00:00:00Z) '
                f'|> filter(fn: (r) => {condition}) |> keep(columns: ["{column}"])')
        with self._open("POST", f"/api/v2/query?org={self.ORG}", flux.encode(), {
                "Content-Type": "application/vnd.flux", "Accept": "application/csv"}) as answer:
            rows = csv.reader(io.StringIO(answer.read().decode()))
        return [row[-1] for row in rows if row and row[-1] != column]

    def numbers(self, field, measurement, bucket):
        return sorted(int(float(value)) for value in self.values(field, measurement, bucket))

    def settings(self, bucket):
        """Of a worker that writes there."""
        return {"MILLRACE_INFLUX_ORG": self.ORG, "MILLRACE_INFLUX_BUCKET": bucket,
                "MILLRACE_INFLUX_TOKEN": self.TOKEN}
