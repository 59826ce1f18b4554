# SPDX-License-Identifier: Apache-2.0
"""wrk, the load generator, for a moment."""
import base64
import json
import pathlib
import subprocess

SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")


DEVICES = 64  # as in the script


def device_names():
    return [f"{number}@a" for number in range(1, DEVICES + 1)]


def load(url, connections, depth, seconds, password=None):
    """{requests, errors, seconds, p99_ms} of posts by so many clients, each of which writes
    `depth` requests at a time and waits for their answers. With a password each device says it."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", SCRIPT, url,
             "--", str(depth)]
    if password is not None:
        words += ["Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
                  for name in device_names()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 30, check=True)
    counted = json.loads(done.stdout.splitlines()[-1])
    if counted["errors"] or not counted["requests"]:
        raise SystemExit(f"{url} with {connections} clients: {done.stdout}")
    return counted
