# SPDX-License-Identifier: Apache-2.0
"""Our own tools' results as a JUnit file, for count-results."""
import xml.etree.ElementTree as ElementTree


def write(path, suite, results):
    """results: (name, problems); a case without problems has passed."""
    root = ElementTree.Element("testsuite", name=suite)
    for name, problems in results:
        case = ElementTree.SubElement(root, "testcase", classname=suite, name=name)
        if problems:
            ElementTree.SubElement(case, "failure", message=problems[0]).text = "\n".join(problems)
    ElementTree.ElementTree(root).write(path)


def finish(path, suite, results):
    """Print and write the results; the exit status."""
    results = list(results)
    for name, problems in results:
        print(f"{'FAIL' if problems else 'ok  '} {name}")
        for problem in problems:
            print(f"     {problem}")
    if path:
        write(path, suite, results)
    return 1 if any(problems for _, problems in results) else 0
