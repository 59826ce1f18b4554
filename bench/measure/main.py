# SPDX-License-Identifier: Apache-2.0
"""bench/run: a command measures and returns {key: value}; keys are stable, see BENCHMARKS.md."""
import argparse
import importlib.util
import json
import os
import pathlib
import platform

BENCH = pathlib.Path(__file__).resolve().parents[1]


def commands():
    return {path.stem: path for path in sorted(BENCH.glob("*.py"))}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("command", choices=commands())
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    print(f"{platform.node()}: {os.cpu_count()} processors, Linux {platform.release()}")
    figures = load(commands()[arguments.command]).run()
    width = max(map(len, figures))
    for key, value in figures.items():
        print(f"{key:{width}}  {value:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


main()
