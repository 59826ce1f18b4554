# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka, one KRaft node or three, and its console tools."""
import io
import json
import os
import re
import shutil
import subprocess

from . import records
from .paths import KAFKA_LIBS
from .process import Process
from .waiting import free_port, wait_for

CLUSTER_ID = "bWlsbHJhY2UtdGVzdHMxMg"

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port},\
  FRONTED://127.0.0.1:{fronted_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},FRONTED://127.0.0.1:{front_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FRONTED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={folder}/data
auto.create.topics.enable=false
num.partitions=3
offsets.topic.replication.factor={copies}
default.replication.factor={copies}
min.insync.replicas={insync}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={insync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={insync}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=500
"""

LOG4J = """\
status=warn
appender.stderr.type=Console
appender.stderr.name=stderr
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=%d %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.stderr.ref=stderr
"""


def missing():
    """What keeps Kafka from running here, or None."""
    if shutil.which("java") is None:
        return "java is missing: packaging/install-packages system"
    if not KAFKA_LIBS.is_dir():
        return "Kafka is missing: tests/tools/setup-kafka"
    if shutil.which("kcat") is None:
        return "kcat is missing: packaging/install-packages run"
    return None


def _java(*words, folder=None):
    options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    if folder is not None:
        options.append(f"-Dlog4j2.configurationFile={folder}/log4j2.properties")
    return ["java", *options, "-cp", f"{KAFKA_LIBS}/*", *words]


class Tools:
    """What a user does with a cluster; `address`, `folder` (with log4j2.properties) and `copies` of
    a topic's partitions are those of the subclass."""

    # Console tools, as a user would run them.

    def _run(self, main_class, *words, bootstrap=True, check=True, seconds=180, errors=False):
        command = _java("-Xmx128m", main_class, *map(str, words), folder=self.folder)
        if bootstrap:
            command += ["--bootstrap-server", self.address]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=seconds, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{main_class}: {done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if errors else "")

    def console_consumer(self, topic, *words):
        """All records of the topic, formatted as kafka-console-consumer.sh does it. It ends with
        the last of them; the time-out is for those of transactions, which it isn't shown."""
        def count():
            try:
                return self.count(topic)
            except AssertionError:  # a topic that was just made has no leaders yet
                return 0
        records_ = wait_for(count, 60, f"records in {topic}")
        return self._run("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", topic,
                         "--from-beginning", "--max-messages", records_, "--timeout-ms",
                         "60000", *words, check=False)

    def create_topic(self, topic, partitions=3, **config):
        words = [f"--config={key.replace('_', '.')}={value}" for key, value in config.items()]
        self._run("org.apache.kafka.tools.TopicCommand", "--create", "--topic", topic,
                  "--partitions", partitions, "--replication-factor", self.copies, *words)

    def delete_topic(self, topic):
        self._run("org.apache.kafka.tools.TopicCommand", "--delete", "--topic", topic)

    def add_partitions(self, topic, partitions):
        self._run("org.apache.kafka.tools.TopicCommand", "--alter", "--topic", topic,
                  "--partitions", partitions)

    def delete_records(self, topic, before):
        """As retention does it: the offsets below `before` of partition 0 are gone."""
        path = self.folder / "delete-records.json"
        path.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": topic, "partition": 0, "offset": before}]}))
        self._run("org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", path)

    def describe_group(self, group):
        """{(topic, partition): committed offset} of what the group has committed."""
        text = self._run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                         "--describe", "--group", group, "--offsets")
        rows = [line.split() for line in text.splitlines() if line.startswith(group + " ")]
        return {(row[1], int(row[2])): int(row[3]) for row in rows if row[3] != "-"}

    def group_state(self, group):
        """What Kafka's console tool says of the group, for people."""
        return self._run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                         "--describe", "--group", group, errors=True)

    def group_members(self, group):
        """The same of its members: their ids begin with group.instance.id, where they have one."""
        return self._run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                         "--describe", "--members", "--group", group, errors=True)

    def commits(self, group):
        """Every commit that the group ever made, in order: [(topic, partition, offset)]. Read from
        __consumer_offsets (Kafka's OffsetCommitKey and OffsetCommitValue), whose first segment
        isn't compacted within a test's time."""
        def text(stream):
            return stream.read(int.from_bytes(stream.read(2), "big")).decode()
        commits = []
        for record in records.read(self, "__consumer_offsets"):
            key, value = io.BytesIO(record.key), io.BytesIO(record.value or b"")
            is_commit = int.from_bytes(key.read(2), "big") <= 1  # others are of members
            if is_commit and record.value is not None and text(key) == group:
                topic, partition = text(key), int.from_bytes(key.read(4), "big")
                value.read(2)  # its version; all begin alike
                commits.append((topic, partition, int.from_bytes(value.read(8), "big")))
        return commits

    # kcat, the quick way.

    def kcat(self, *words, check=True, seconds=180, stdin=None):
        done = subprocess.run(["kcat", "-b", self.address, *map(str, words)], capture_output=True,
                              timeout=seconds, input=stdin or b"", env=dict(os.environ, LC_ALL="C"))
        assert not check or done.returncode == 0, done.stderr.decode(errors="replace")
        return done

    def topics(self):
        """{topic: number of partitions}"""
        listing = json.loads(self.kcat("-L", "-J").stdout)
        return {one["topic"]: len(one["partitions"]) for one in listing["topics"]}

    def count(self, topic):
        """Records in the topic (its end offsets, as nothing is ever deleted from it)."""
        partitions = self.topics().get(topic, 0)
        total = 0
        for partition in range(partitions):
            text = self.kcat("-Q", "-t", f"{topic}:{partition}:-1").stdout.decode()
            total += int(text.split()[-1])
        return total


class Kafka(Tools):
    copies = 1

    def __init__(self, folder, log, node=1, controllers=None):
        """Formats a new node in `folder`; start() runs it. `controllers`: the ports of all nodes'
        controllers, of which this is the one numbered `node` from 1."""
        self.folder = folder
        self.log = log
        self.port = free_port()
        # A second listener whose clients are sent to front_port: for something in between.
        self.fronted_port = free_port()
        self.front_port = free_port()
        self.process = None
        controllers = controllers or [free_port()]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.properties").write_text(PROPERTIES.format(
            port=self.port, fronted_port=self.fronted_port, front_port=self.front_port,
            controller_port=controllers[node - 1], folder=folder, node=node,
            voters=",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(controllers, 1)),
            copies=len(controllers), insync=len(controllers) // 2 + 1))
        (folder / "log4j2.properties").write_text(LOG4J)
        self._run("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c",
                  folder / "server.properties", bootstrap=False)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def launch(self):
        command = _java("-Xmx256m", "kafka.Kafka", self.folder / "server.properties",
                        folder=self.folder)
        self.process = Process("kafka", command, self.log)

    def start(self, seconds=120):
        self.launch()
        wait_for(self.answers, seconds, f"Kafka answers, see {self.log}", poll=0.2)
        return self

    def answers(self):
        assert self.process.running(), f"Kafka has ended, see {self.log}"
        done = self.kcat("-L", "-J", "-m", "2", check=False, seconds=60)
        return done.returncode == 0 and json.loads(done.stdout)["brokers"]

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


class Cluster(Tools):
    """Three nodes; each partition is on all of them, and stored when two have it."""

    copies = 3

    def __init__(self, folder, logs):
        controllers = [free_port() for _ in range(self.copies)]
        self.folder = folder / "1"
        self.nodes = {node: Kafka(folder / str(node), logs / f"kafka-{node}.log", node, controllers)
                      for node in range(1, self.copies + 1)}

    @property
    def address(self):
        return ",".join(node.address for node in self.nodes.values())

    def start(self, seconds=180):
        for node in self.nodes.values():
            node.launch()
        wait_for(self.is_whole, seconds, "three brokers answer", poll=0.5)
        return self

    def _listing(self):
        done = self.kcat("-L", "-J", "-m", "4", check=False, seconds=60)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def is_whole(self):
        """All brokers are there, and all copies in step."""
        listing = self._listing()
        return (listing is not None and len(listing["brokers"]) == self.copies and
                all(len(partition["isrs"]) == self.copies
                    for topic in listing["topics"] for partition in topic["partitions"]))

    def leader(self, topic, partition):
        for one in self._listing()["topics"]:
            if one["topic"] == topic:
                return next(self.nodes[row["leader"]] for row in one["partitions"]
                            if row["partition"] == partition)
        raise AssertionError(f"no topic {topic}")

    def coordinator(self, group):
        text = self._run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                         "--describe", "--group", group, "--state")
        return self.nodes[int(re.search(r":\d+ +\((\d+)\)", text).group(1))]

    def stop(self):
        for node in self.nodes.values():
            node.stop()
