# SPDX-License-Identifier: Apache-2.0
"""A topic that takes less than the bridge does (max.message.bytes): what is too large for it by
itself is told so, and nothing else is, also when a batch of small ones is too large."""
import concurrent.futures
import http.client
import random

TOPIC_BYTES = 5000
EVENTS = 20


def content(size):
    """That compresses to nothing less."""
    return random.Random(size).randbytes(size)


def post(bridge, body):
    connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=60)
    try:
        connection.request("POST", "/v1/channel?device=one", body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_too_large_for_the_topic(bridge, kafka, name):
    kafka.create_topic(name, partitions=1, max_message_bytes=TOPIC_BYTES)
    one = bridge(kafka, name)
    status, text = post(one, content(4 * TOPIC_BYTES))
    assert status == 413 and "max.message.bytes" in text
    assert post(one, bytes(4 * TOPIC_BYTES))[0] == 202, "its size in Kafka counts: compressed"
    assert post(one, content(TOPIC_BYTES // 2))[0] == 202


def test_a_batch_that_is_too_large_rejects_nobody(bridge, kafka, name):
    kafka.create_topic(name, partitions=1, max_message_bytes=TOPIC_BYTES)
    one = bridge(kafka, name, MILLRACE_KAFKA_PRODUCER_LINGER_MS="500")
    bodies = [content(1000 + number) for number in range(EVENTS)]
    with concurrent.futures.ThreadPoolExecutor(EVENTS) as pool:
        statuses = {status for status, _ in pool.map(lambda body: post(one, body), bodies)}
    assert 503 in statuses and statuses <= {202, 503}, "the batch was refused, no event was"
    before = kafka.count(name)
    assert {post(one, body)[0] for body in bodies} == {202}
    assert kafka.count(name) == before + EVENTS
