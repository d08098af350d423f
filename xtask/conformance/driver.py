"""Runs one test of Eclipse's Paho interoperability suite against a server that speaks MQTT over mutual TLS.

`driver.py --suite DIR --version 5 --list` prints the names of the tests, one a line. With `--test NAME` and the server's
particulars it runs one, and prints a line of JSON: `{"passed": false, "why": "…"}`. What the suite prints goes to
standard error. `cargo xtask conformance` starts it, once for each test, and ends it when it takes too long.
"""

import argparse
import importlib
import json
import os
import ssl
import sys
import traceback
import unittest
from pathlib import Path

import adaptations
from tls_socket import Sockets

FILES = {"3.1.1": "client_test.py", "5": "client_test5.py"}
CLIENTS = {"3.1.1": "mqtt.clients.V311.main", "5": "mqtt.clients.V5.main"}


def main():
    options = parsed_options()
    # The suite prints what it does.
    answer, sys.stdout = sys.stdout, sys.stderr
    folder = options.suite / "interoperability"
    path = folder / FILES[options.version]
    if not path.is_file():
        sys.exit(f"no {path}: --suite is a checkout of eclipse/paho.mqtt.testing")
    # Its packages are found by name; nothing is written beside them.
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    module = adaptations.load(path, options.limits == "aws")
    if options.list:
        names = unittest.TestLoader().getTestCaseNames(module.Test)
        answer.write("".join(f"{name}\n" for name in names))
        return
    importlib.import_module(CLIENTS[options.version]).socket = Sockets(tls(options))
    module.host, module.port = options.host, options.port
    adaptations.adapt(module, options.test, options.limits == "aws")
    why = run(module, options.test)
    answer.write(json.dumps({"passed": why is None, "why": why}) + "\n")
    answer.flush()
    # Threads of the suite may still wait for packets.
    os._exit(0)


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, required=True, help="a checkout of eclipse/paho.mqtt.testing")
    parser.add_argument("--version", choices=FILES, required=True, help="of MQTT")
    parser.add_argument("--limits", choices=("aws", "relaxed"), default="aws", help="that the server has")
    parser.add_argument("--list", action="store_true", help="only print the names of the tests")
    parser.add_argument("--test", help="the one to run")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8883)
    parser.add_argument("--ca", help="the server's CA certificate (PEM)")
    parser.add_argument("--certificate", help="the client's (PEM)")
    parser.add_argument("--key", help="the client's (PEM)")
    return parser.parse_args()


def tls(options):
    context = ssl.create_default_context(cafile=options.ca)
    context.load_cert_chain(options.certificate, options.key)
    return context


def run(module, name):
    """Why the test does not pass; `None` when it does."""
    caught = Caught()
    module.traceback = caught
    result = unittest.TestResult()
    unittest.TestSuite([module.Test(name)]).run(result)
    problems = result.failures + result.errors
    for _, text in problems:
        print(text, file=sys.stderr)
    # Many tests catch what went wrong, and one of them says so in its return value alone, which nobody reads.
    if caught.why:
        return caught.why
    if problems:
        return problems[0][1].strip().splitlines()[-1]
    if result.testsRun != 1 or result.skipped:
        return "it was not run"
    return None


class Caught:
    """Stands for the module `traceback` in the suite: keeps the first thing that a test caught and printed."""

    def __init__(self):
        self.why = None

    def print_exc(self):
        traceback.print_exc()
        error = sys.exc_info()[1]
        if self.why is None:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            what = str(error) or frame.line
            self.why = f"{type(error).__name__}: {what} ({Path(frame.filename).name}:{frame.lineno})"


if __name__ == "__main__":
    main()
