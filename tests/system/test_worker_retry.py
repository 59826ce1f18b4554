# SPDX-License-Identifier: Apache-2.0
"""A user's worker whose records fail, killed and stopped in the middle: how often each is tried, in
which order, and that it is never forgotten."""
import collections
import random
import threading
from dataclasses import dataclass

import pytest

from conftest import need_built
from lib import paths, records
from lib.programs import Program, parse_metrics
from lib.waiting import wait_for

PARTITIONS = 2
KEYS = 12
RECORDS = 400
ATTEMPTS_MAX = 4
HEADERS = [word for pair in ("ce_specversion=1.0", "ce_id=1", "ce_source=/s", "ce_type=t")
           for word in ("-H", pair)]


class FailingWorker(Program):
    def __init__(self, log, kafka, topic, attempts, **settings):
        self.group = f"group-{topic}"
        super().__init__("failing-worker", paths.FAILING_WORKER, log, {
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka.address,
            "MILLRACE_FAILING_TOPIC": topic,
            "MILLRACE_FAILING_GROUP": self.group,
            "MILLRACE_FAILING_ATTEMPTS": attempts,
            "MILLRACE_FAILING_BATCH_COUNT": 1,
            "MILLRACE_FAILING_RETRY_MAX": ATTEMPTS_MAX,
            "MILLRACE_FAILING_RETRY_DELAY": "100ms",
            "MILLRACE_FAILING_RETRY_DELAY_MAX": "300ms",
            "MILLRACE_FAILING_RETRY_PENDING": 20,
            "MILLRACE_FAILING_COMMIT_INTERVAL": "200ms",
            "MILLRACE_KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "3000",
            "MILLRACE_KAFKA_CONSUMER_HEARTBEAT_INTERVAL_MS": "500",
            **settings})


class Left(FailingWorker):
    """One of two, with a log of its own."""


class Right(FailingWorker):
    """The other."""


@pytest.fixture(autouse=True)
def is_built():
    need_built(paths.FAILING_WORKER)


@dataclass
class Line:
    partition: int
    offset: int
    attempt: int
    key: str
    number: int
    outcome: str

    @property
    def place(self):
        return self.partition, self.offset

    @property
    def is_final(self):
        return self.outcome == "done" or self.attempt >= ATTEMPTS_MAX


def read_lines(path):
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        partition, offset, attempt, key, number, outcome = text.split(" ")
        lines.append(Line(int(partition), int(offset), int(attempt), key, int(number), outcome))
    return lines


def produce(kafka, topic, count):
    """{number: what becomes of it}; a part without a key."""
    rng = random.Random(5)
    keyed, keyless, fates = [], [], {}
    for number in range(count):
        fate = rng.choices(["ok", "fail", "fail 2"], [80, 8, 12])[0]
        fates[number] = fate
        key = rng.randrange(KEYS + 2)
        if key < KEYS:
            keyed.append(f"k{key}|k{key} {number} {fate}")
        else:
            keyless.append(f"- {number} {fate}")
    kafka.kcat("-P", "-t", topic, "-K", "|", *HEADERS, stdin="\n".join(keyed).encode())
    kafka.kcat("-P", "-t", topic, *HEADERS, stdin="\n".join(keyless).encode())
    return fates


def assert_order(lines):
    """Nothing of a key is tried while one before it may be tried again."""
    seen = collections.defaultdict(dict)
    for line in lines:
        if line.key == "-":
            continue
        before = seen[line.partition, line.key]
        open_ = [offset for offset, final in before.items() if offset < line.offset and not final]
        assert not open_, f"{line} has overtaken {open_}"
        before[line.offset] = before.get(line.offset, False) or line.is_final


def assert_tried(lines, fates, kills):
    times = collections.Counter(line.place for line in lines)
    assert max(times.values()) <= ATTEMPTS_MAX + kills
    assert max(line.attempt for line in lines) == ATTEMPTS_MAX
    done = {line.number for line in lines if line.outcome == "done"}
    assert done == {number for number, fate in fates.items() if fate != "fail"}


def assert_dead(kafka, name, fates):
    """Each that always fails, with its attempts; a copy more where a kill came in between."""
    letters = records.read(kafka, f"{name}.dead")
    for letter in letters:
        assert letter.headers["millrace_dead_reason"] == "retries"
        assert int(letter.headers["millrace_dead_attempts"]) == ATTEMPTS_MAX
    assert {int(letter.value.split()[1]) for letter in letters} == {
        number for number, fate in fates.items() if fate == "fail"}
    return letters


def is_all_committed(kafka, one, count):
    return sum(kafka.describe_group(one.group).values()) == count


def assert_balance(one):
    """At one scrape."""
    metrics = parse_metrics(one.metrics())
    for labels, received in metrics.get("millrace_worker_received_total", {}).items():
        settled = sum(value for key, value in metrics["millrace_worker_settled_total"].items()
                      if set(labels) <= set(key))
        held = sum(metrics[name].get(labels, 0) for name in (
            "millrace_worker_in_flight", "millrace_worker_pending_records",
            "millrace_worker_retries_pending"))
        assert received == settled + held
    return True


def test_attempts_are_bounded_across_kill_9(run, kafka, name, tmp_path, rounds):
    kafka.create_topic(name, partitions=PARTITIONS)
    attempts = tmp_path / "attempts"
    fates = produce(kafka, name, RECORDS)
    for _ in range(rounds):
        before = len(read_lines(attempts))
        one = run(FailingWorker, kafka, name, attempts)
        wait_for(lambda: len(read_lines(attempts)) > before
                 or is_all_committed(kafka, one, RECORDS), 30, "attempts are made")
        threading.Event().wait(random.uniform(0, 1.0))
        one.kill()
    last = run(FailingWorker, kafka, name, attempts)
    wait_for(lambda: assert_balance(last) and is_all_committed(kafka, last, RECORDS), 120,
             lambda: f"{kafka.describe_group(last.group)}")
    assert last.terminate() == 0
    lines = read_lines(attempts)
    assert_order(lines)
    assert_tried(lines, fates, kills=rounds)
    assert_dead(kafka, name, fates)


def test_stops_and_rebalances_count_no_attempt_twice(run, kafka, name, tmp_path, rounds,
                                                          logs):
    """Orderly ones, with two members: exactly retry.max attempts, and one dead letter each. A member
    that is refused its last commit, and says so, is as good as killed."""
    kafka.create_topic(name, partitions=PARTITIONS)
    attempts = tmp_path / "attempts"
    fates = produce(kafka, name, RECORDS)
    left = run(Left, kafka, name, attempts)
    for _ in range(rounds):
        before = len(read_lines(attempts))
        wait_for(lambda: len(read_lines(attempts)) > before + 20
                 or is_all_committed(kafka, left, RECORDS), 30, "attempts are made")
        right = run(Right, kafka, name, attempts).wait_ready()
        assert_balance(left)
        assert left.terminate() == 0
        left = right
    wait_for(lambda: is_all_committed(kafka, left, RECORDS), 120,
             lambda: f"{kafka.describe_group(left.group)}", poll=1)
    assert left.terminate() == 0
    lines = read_lines(attempts)
    assert_order(lines)
    losses = sum(log.read_text().count("partitions are lost") for log in logs.glob("*t.log"))
    assert_tried(lines, fates, kills=losses)
    letters = assert_dead(kafka, name, fates)
    assert losses or len(letters) == list(fates.values()).count("fail")


def assigned(one):
    """The partitions that its log says it was given, in this run and those before."""
    return [line for line in one.log_text().splitlines()
            if "msg=assigned " in line or "msg=revoked " in line]


def test_a_static_member_comes_back_to_its_partitions(run, kafka, name, tmp_path):
    """Restarted within session.timeout.ms it has what it had, and the other one hears nothing."""
    kafka.create_topic(name, partitions=4)
    attempts = tmp_path / "attempts"
    session = {"MILLRACE_KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "30000"}
    instance = "MILLRACE_KAFKA_CONSUMER_GROUP_INSTANCE_ID"

    def start(kind, id_):
        return run(kind, kafka, name, attempts, **session, **{instance: id_}).wait_ready()

    def words(lines):
        return sorted(line.split("msg=", 1)[1] for line in lines)

    def held(one):
        held = parse_metrics(one.metrics()).get("millrace_worker_in_flight", {})
        return sorted(dict(labels)["partition"] for labels in held)

    left, right = start(Left, "left"), start(Right, "right")
    wait_for(lambda: len(held(left)) == 2 and len(held(right)) == 2, 30, "two partitions each")
    partitions, heard = held(left), assigned(right)
    assert left.terminate() == 0
    assert "left" in kafka.group_members(f"group-{name}")  # it didn't leave
    left = start(Left, "left")
    wait_for(lambda: held(left) == partitions, 30, lambda: f"{held(left)}, before {partitions}")
    produce(kafka, name, 100)
    wait_for(lambda: is_all_committed(kafka, left, 100), 60,
             lambda: f"{kafka.describe_group(left.group)}", poll=1)
    assert words(assigned(right)) == words(heard)
    assert left.terminate() == 0
    assert right.terminate() == 0
