# SPDX-License-Identifier: Apache-2.0
"""./test itself: its arguments, and what it says of the steps that it doesn't run."""
import shutil
import subprocess

import pytest

from lib import paths
from lib.programs import environment


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--rounds", "00"], ["--rounds", "-1"],
                                   ["--rounds", "x"], ["--rounds"], ["--storm", "0"], ["--storm"],
                                   ["slow"]])
def test_what_it_does_not_know_is_refused(words):
    done = subprocess.run([paths.ROOT / "test", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "usage: ./test" in done.stderr


def test_that_fuzzing_is_left_to_ci_is_said(tmp_path):
    """In a tree with nothing to build: every other step fails at once, or is skipped."""
    for name in ("test", "tests/tools/steps.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(paths.ROOT / name, tmp_path / name)
    for name, status in (("packaging/install-packages", 0), ("tests/tools/setup-python", 0),
                         ("tests/tools/setup-kafka", 1)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    env = environment()
    env.pop("CI", None)
    done = subprocess.run([tmp_path / "test"], cwd=tmp_path, env=env, capture_output=True,
                          text=True, timeout=60)
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("==> fuzz")]
    assert "not run" in line and "CI=true" in line
