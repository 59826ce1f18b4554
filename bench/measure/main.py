# SPDX-License-Identifier: Apache-2.0
"""bench/run: a command measures and returns {key: value}; keys are stable, see BENCHMARKS.md.
OPTIONS of its module are whole numbers that run() takes, with what they are unless given."""
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
    subparsers = parser.add_subparsers(dest="command", required=True)
    modules = {name: load(path) for name, path in commands().items()}
    for name, module in modules.items():
        one = subparsers.add_parser(name)
        one.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
        for option, value in getattr(module, "OPTIONS", {}).items():
            one.add_argument(f"--{option}", type=int, default=value, help=f"{value} unless given")
    arguments = parser.parse_args()
    module = modules[arguments.command]
    options = {option: getattr(arguments, option) for option in getattr(module, "OPTIONS", {})}
    print(f"{platform.node()}: {os.cpu_count()} processors, Linux {platform.release()}")
    figures = module.run(**options)
    width = max(map(len, figures))
    for key, value in figures.items():
        print(f"{key:{width}}  {value:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


main()
