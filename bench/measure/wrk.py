# SPDX-License-Identifier: Apache-2.0
"""wrk, the load generator, for a moment."""
import json
import pathlib
import subprocess

SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")


def load(url, connections, depth, seconds):
    """{requests, errors, seconds, p99_ms} of posts by so many clients, each of which writes
    `depth` requests at a time and waits for their answers."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", SCRIPT, url,
         "--", str(depth)], capture_output=True, text=True, timeout=seconds + 30, check=True)
    counted = json.loads(done.stdout.splitlines()[-1])
    if counted["errors"] or not counted["requests"]:
        raise SystemExit(f"{url} with {connections} clients: {done.stdout}")
    return counted
