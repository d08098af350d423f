"""Fixtures: one server per test file, and clients for it. What a test creates it names itself, so tests do not meet."""

import os
import re
import zlib

import pytest

from support.cloud import Cloud
from support.server import Server

# Minutes of waiting for the server's own clocks, and of an emulated board: `cargo xtask test --full` sets the variable.
collect_ignore = [] if os.environ.get("EYOT_FULL") else ["test_slow_clocks.py", "test_board_faults.py"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A fresh cloud for this file."""
    with Server(tmp_path_factory.mktemp("eyot")) as server:
        yield server


@pytest.fixture(scope="module")
def cloud(server):
    return Cloud(server.api_url)


@pytest.fixture
def name(request):
    """A name that no other test uses, fit for a thing, a rule, a policy and a log group."""
    text = re.sub(r"[^A-Za-z0-9]+", "_", request.node.name).strip("_")
    return f"{text[:70]}_{zlib.crc32(request.node.nodeid.encode()):08x}"
