# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the bridge under load: every event that was answered 202 is in Kafka."""
import random

from lib import records
from lib.load import Load

CONNECTIONS = 8


def test_what_was_answered_202_is_in_kafka(bridge, kafka, name, rounds):
    promised = set()
    for round_ in range(rounds):
        one = bridge(kafka, name)
        with Load(one.port, f"round-{round_}", CONNECTIONS) as load:
            load.wait_stored(random.randint(100, 1500))
            one.kill()
            # Devices that are still talking learn of it: the connection ends without an answer.
            load.wait_status(0)
        assert load.statuses() <= {202, 0, 504}  # 504: it may be in Kafka or not
        promised |= load.stored()
    stored = records.ids(kafka, name)
    assert len(promised) >= 100 * rounds
    assert promised <= set(stored), f"lost: {sorted(promised - set(stored))[:10]}"


def test_a_killed_bridge_starts_again_at_the_same_address(bridge, kafka, name):
    first = bridge(kafka, name)
    with Load(first.port, "device", CONNECTIONS) as load:
        load.wait_stored(100)
        first.kill()
        load.wait_status(0)
        bridge(kafka, name, port=first.port)
        load.wait_stored(100)
    assert load.stored() <= set(records.ids(kafka, name))
