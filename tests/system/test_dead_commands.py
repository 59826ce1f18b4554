# SPDX-License-Identifier: Apache-2.0
"""`millrace dead` as an operator uses it, while workers run."""
import json
import subprocess

from lib import paths, records
from lib.load import CHANNEL
from lib.process import Process
from lib.programs import environment
from lib.waiting import wait_for

BAD = 300
DEVICES = 16  # of records.produce_json
MANY = 40_000
IN_FLIGHT_MAX = 1000  # letters that `millrace dead replay` has on their way at a time
COMMAND_SECONDS = 60


def dead(kafka, *words, status=0):
    """Standard output of `millrace dead WORDS...`."""
    done = subprocess.run([paths.CLI, "dead", *words, f"--kafka.bootstrap.servers={kafka.address}"],
                          capture_output=True, text=True, timeout=COMMAND_SECONDS,
                          stdin=subprocess.DEVNULL, env=environment())
    assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout if status == 0 else done.stdout + done.stderr


def rows(kafka, *words):
    return [json.loads(line) for line in dead(kafka, *words, "--json").splitlines()]


def letters(kafka, topic, *words):
    return sum(row["letters"] for row in rows(kafka, "list", f"{topic}.dead", *words))


def start_workers(worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    workers = [worker(kafka, name, influx.uri, name) for _ in range(2)]
    # Both write to one log. A record whose partition moves while it dies may die twice.
    wait_for(lambda: workers[0].log_text().count("msg=revoked") == 1 and
             workers[0].log_text().count("msg=assigned") == 3, 30, "one partition each")


def test_letters_are_seen_and_replayed_once_the_cause_is_mended(worker, kafka, influx, name):
    # What an older worker couldn't map, this one can.
    start_workers(worker, kafka, influx, name)
    records.produce_json(kafka, f"{name}.dead", range(1, BAD + 1), headers={
        "millrace_dead_reason": "mapping", "millrace_dead_text": "what is it?",
        "millrace_dead_topic": name, "millrace_dead_attempts": "1"})

    listed = rows(kafka, "list", f"{name}.dead")
    assert len(listed) == DEVICES
    assert {(row["topic"], row["application"]) for row in listed} == {(name, "app")}
    assert {row["device"] for row in listed} == {f"dev-{number}" for number in range(DEVICES)}
    assert sum(row["letters"] for row in listed) == BAD
    of_one = letters(kafka, name, "--device=dev-3")
    assert 0 < of_one < BAD
    shown = rows(kafka, "show", f"{name}.dead", "--device=dev-3", "--limit=2")
    assert len(shown) == 2
    assert all(one["event"]["device"] == "dev-3" for one in shown)
    assert all(one["reason"] and one["text"] and one["replays"] == 0 for one in shown)

    dry = rows(kafka, "replay", f"{name}.dead")
    assert {row["what"] for row in dry} == {"would be replayed"}
    assert sum(row["letters"] for row in dry) == BAD == letters(kafka, name)
    assert kafka.count(name) == 0

    done = rows(kafka, "replay", f"{name}.dead", "--yes")
    assert {(row["what"], row["topic"]) for row in done} == {("replayed", name)}
    assert sum(row["letters"] for row in done) == BAD
    wait_for(lambda: influx.count("n", CHANNEL, name) == BAD, 30, "all points are stored")
    assert letters(kafka, name) == 0
    assert rows(kafka, "show", f"{name}.dead") == []
    # And not once more.
    assert rows(kafka, "replay", f"{name}.dead", "--yes") == []
    assert kafka.count(name) == BAD


def test_points_that_influxdb_refused_are_replayed(worker, kafka, influx, name):
    start_workers(worker, kafka, influx, name)
    # The field is a string, so that InfluxDB refuses the events' numbers.
    influx.write(name, f'{CHANNEL} n="text" 1767225600000000000')
    records.produce_json(kafka, name, range(1, BAD + 1))
    wait_for(lambda: kafka.count(f"{name}.dead") == BAD, 30, "all have died")
    shown = rows(kafka, "show", f"{name}.dead", "--limit=3")
    assert all("field type conflict" in one["server"] for one in shown), shown

    influx.query(f'DROP MEASUREMENT "{CHANNEL}"', name)
    dead(kafka, "replay", f"{name}.dead", "--yes")
    wait_for(lambda: influx.count("n", CHANNEL, name) == BAD, 30, "all points are stored")
    assert letters(kafka, name) == 0


def test_what_dies_again_is_left_in_the_end_and_can_be_dropped(worker, kafka, influx, name):
    start_workers(worker, kafka, influx, name)
    records.produce_json(kafka, name, range(1, BAD + 1), data="no object")
    wait_for(lambda: kafka.count(f"{name}.dead") == BAD, 30, "all have died")
    # Nobody has asked for a topic that isn't there.
    kafka.kcat("-P", "-t", f"{name}.dead", "-H", "millrace_dead_reason=mapping",
               "-H", f"millrace_dead_topic={name}-gone", stdin=b"x")

    def replay():
        return {(row["what"], row["letters"])
                for row in rows(kafka, "replay", f"{name}.dead", "--yes", "--replays-max=1")}

    assert replay() == {("replayed", BAD), ("left: topic is gone", 1)}
    wait_for(lambda: letters(kafka, name, f"--topic={name}") == BAD, 30, "all have died again")
    assert {one["replays"] for one in rows(kafka, "show", f"{name}.dead", f"--topic={name}")} == {1}
    assert replay() == {("left: replays-max", BAD), ("left: topic is gone", 1)}
    assert kafka.count(name) == 2 * BAD

    first = rows(kafka, "show", f"{name}.dead", "--limit=1")[0]["letter"]
    dead(kafka, "drop", f"{name}.dead", f"--offset={first}")
    assert letters(kafka, name) == BAD + 1
    dead(kafka, "drop", f"{name}.dead", f"--offset={first}", "--yes")
    assert letters(kafka, name) == BAD
    assert letters(kafka, name, f"--offset={first}") == 0
    dead(kafka, "drop", f"{name}.dead", "--yes")
    assert letters(kafka, name) == 0
    assert f"{name}-gone" not in kafka.topics()
    assert f"{name}-gone.dead: " in dead(kafka, "list", f"{name}-gone.dead", status=1)


def test_kill_9_in_mid_replay_loses_nothing(kafka, name, logs):
    kafka.create_topic(name, partitions=2)
    kafka.create_topic(f"{name}.dead", partitions=2)
    numbers = range(MANY)
    kafka.kcat("-P", "-t", f"{name}.dead", "-H", "millrace_dead_reason=mapping",
               "-H", f"millrace_dead_topic={name}", stdin="\n".join(map(str, numbers)).encode())
    kills = 0
    while kills < 3:
        before = kafka.count(name)
        replay = Process("millrace dead replay",
                         [paths.CLI, "dead", "replay", f"{name}.dead", "--yes",
                          f"--kafka.bootstrap.servers={kafka.address}"],
                         logs / "replay.log", env=environment())
        wait_for(lambda: kafka.count(name) > before, 30, "the replay has begun", poll=0.01)
        assert replay.running(), "it was over before it could be killed"
        replay.kill()
        kills += 1
        assert 0 < letters(kafka, name) < MANY
    dead(kafka, "replay", f"{name}.dead", "--yes")
    assert letters(kafka, name) == 0
    replayed = [int(one.value) for one in records.read(kafka, name)]
    assert set(replayed) == set(numbers)
    assert len(replayed) - MANY <= kills * IN_FLIGHT_MAX
