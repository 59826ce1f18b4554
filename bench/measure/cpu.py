# SPDX-License-Identifier: Apache-2.0
"""What a process has used of the processors."""
import pathlib


def cpu_seconds(process):
    """Of all its threads, those of librdkafka too, in user space and kernel."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
