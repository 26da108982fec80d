"""A whole `mallard serve` with the mail server that it sends through, and the tools of Node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.delivery.relay.sinks import Sink
from tests.flows.conftest import Served, serving

HERE = Path(__file__).parent
NODE_MODULES = HERE / "node_modules"
TOKEN = "a-token-of-the-operator"


@dataclass(frozen=True)
class Site:
    """What clients talk to, and where the mail goes that they send."""

    served: Served
    smart_host: Sink

    @property
    def environ(self) -> dict[str, str]:
        """What the programs want to know."""
        return {**os.environ, "MALLARD_URL": self.served.base, "MALLARD_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for the tests of a file."""
    smart_host = Sink()
    settings = {
        "MALLARD_ACCESS_CONTROL": "on",
        "MALLARD_TOKEN": TOKEN,
        "MALLARD_SECRET": "a secret of its own",
        "MALLARD_RELAY": f"127.0.0.1:{smart_host.port}",
    }
    with serving(tmp_path_factory.mktemp("site") / "state", settings) as served:
        yield Site(served, smart_host)
    smart_host.stop()


@pytest.fixture
def node_modules() -> Path:
    """The tools of Node, as `make clients` installs them."""
    if not NODE_MODULES.is_dir() and os.environ.get("CI") != "true":
        pytest.skip("the tools of Node are not there; `make clients` brings them, with nodejs and npm")
    assert NODE_MODULES.is_dir(), "CI must have node and npm, see .ci/run"
    return NODE_MODULES
