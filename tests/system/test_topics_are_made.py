# SPDX-License-Identifier: Apache-2.0
"""The embedded broker can't do CreateTopics: those integration tests need a real Kafka."""
import os
import subprocess

from conftest import need_built
from lib import paths

TESTS = paths.BUILD / "tests" / "integration_topics"


def test_against_a_real_kafka(kafka):
    need_built(TESTS)
    done = subprocess.run([TESTS], env=dict(os.environ, MILLRACE_TEST_KAFKA=kafka.address),
                          capture_output=True, text=True, timeout=120)
    output = done.stdout + done.stderr
    assert done.returncode == 0 and "SKIPPED" not in output, output
