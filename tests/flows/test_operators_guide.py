"""The operator's guide: every command in it is run, in its order, in one shell.

What is run for real: `mallard`, `curl`, `openssl`, `python3 -c`, `tar`, `gzip` and the shell around them; services run
until the next one takes their place. Hosts, ports, folders and the database's address are put in place of the guide's.

What is only checked for being well-formed, because it is not there or not ours to do on this machine: `mongodump` and
`mongorestore` (their options against those that MongoDB documents), `pip install`, `python3 -m venv` and `systemctl`
(their words). The blocks for systemd, Caddy and mongosh are read, not run.
"""

from __future__ import annotations

import configparser
import mailbox
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.main import main
from security.roles import ROLES
from server.metrics.counters import Metrics
from server.processes.mongod import Mongod
from server.settings.table import Settings
from tests.transfer.conftest import message
from tests.transfer.imapserver import Box, Mail, serving

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "operators-guide.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.S | re.M)
SHELL = [text for kind, text in BLOCKS if kind == "sh"]
# https://www.mongodb.com/docs/database-tools/: the options that the guide may use
TOOLS = {
    "mongodump": {"--uri", "--oplog", "--gzip", "--archive", "--db", "--out"},
    "mongorestore": {"--uri", "--oplogReplay", "--drop", "--gzip", "--archive", "--nsInclude"},
}
_MALLARD = """#!/bin/bash
# A service runs in the background and is waited for; another one in its place stops it first.
case "$*" in
  serve|api|jobs)
    if [ "$1" != jobs ]; then stop-services; fi
    {python} -m commands "$@" </dev/null >>{log} 2>&1 & echo $! >> {pids}
    if [ "$1" = jobs ]; then exit 0; fi
    for _ in $(seq 300); do
      curl --silent --fail --output /dev/null http://127.0.0.1:{port}/ready && exit 0
      sleep 0.2
    done
    cat {log} >&2; exit 1;;
  *) exec {python} -m commands "$@";;
esac
"""
_STOP = """#!/bin/bash
touch {pids}
for pid in $(cat {pids}); do kill $pid 2>/dev/null; done
for pid in $(cat {pids}); do while kill -0 $pid 2>/dev/null; do sleep 0.1; done; done
: > {pids}
"""
_PYTHON = """#!/bin/bash
if [ "$1 $2" = "-m venv" ]; then [ $# = 3 ] && case "$3" in /*) exit 0;; esac; exit 1; fi
exec {python} "$@"
"""
_PIP = """#!/bin/bash
[ "$1" = install ] && [[ "${{!#}}" =~ ^mallard(\\[[a-z,]+\\])?$ ]]
"""
_SYSTEMCTL = """#!/bin/bash
[ "$*" = "restart mallard" ]
"""
_CHECKED = """#!{python}
import re, sys
allowed = {allowed!r}
for word in sys.argv[1:]:
    name, _, value = word.partition("=")
    assert name in allowed, word
    assert name != "--uri" or re.match("mongodb(\\\\+srv)?://", value), word
    assert name != "--archive" or value, word
"""

pytestmark = pytest.mark.timeout(600)


class Machine:
    """Folders, ports and programs that stand for the guide's."""

    def __init__(self, folder: Path, mongod: Mongod, imap: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder, self.bin, self.mongod = folder, folder / "bin", mongod
        self.log, self.pids = folder / "log", folder / "pids"
        for name in ("bin", "lib/mallard", "backups", "mail", "home/grace"):
            (folder / name).mkdir(parents=True)
        self._programs()
        self._mail()
        self.replaced = {
            "mongodb://mallard:use-a-long-password@db1.example.com,db2.example.com/?replicaSet=rs&tls=true"
            "&tlsCAFile=/etc/mallard/ca.pem": mongod.uri,
            "127.0.0.1:8080": f"127.0.0.1:{self.port}",
            "/opt/mallard/bin/pip": "pip",
            "/var/backups": str(folder / "backups"),
            "/var/lib": str(folder / "lib"),
            "/var/mail": str(folder / "mail"),
            "/home/grace": str(folder / "home/grace"),
            "imaps://grace@imap.example.com": imap,
        }

    def _programs(self) -> None:
        facts = {"python": sys.executable, "log": self.log, "pids": self.pids, "port": self.port}
        scripts = {
            "mallard": _MALLARD, "stop-services": _STOP, "python3": _PYTHON, "pip": _PIP, "systemctl": _SYSTEMCTL,
        }  # fmt: skip
        texts = {name: text.format(**facts) for name, text in scripts.items()}
        texts |= {tool: _CHECKED.format(python=sys.executable, allowed=TOOLS[tool]) for tool in TOOLS}
        for name, text in texts.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def _mail(self) -> None:
        with closing(mailbox.mbox(self.folder / "mail/old.mbox")) as box:
            box.add(message(1))
        maildir = self.folder / "home/grace/Maildir"
        for part in ("cur", "new", "tmp"):
            (maildir / part).mkdir(parents=True)
        (maildir / "new" / "1.host").write_bytes(message(2))

    def run(self, blocks: list[str]) -> tuple[int, str, str]:
        """All blocks in one shell; the first command that fails ends it."""
        script = "\n".join(blocks)
        for word, own in self.replaced.items():
            assert word in script, f"{word} is not in the guide any more"
            script = script.replace(word, own)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")}
        environ = {
            **clean, "PATH": f"{self.bin}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "MALLARD_WORKERS": "1",
            "MALLARD_STATE_DIR": str(self.folder / "lib/mallard"), "MALLARD_LOG_LEVEL": "warning",
            "MALLARD_BIND": f"127.0.0.1:{self.port}", "MALLARD_VALIDATE_RESPONSES": "on",
        }  # fmt: skip
        command = ["bash", "-xeuo", "pipefail", "-c", script]
        out, told = self.folder / "out", self.folder / "told"
        with out.open("w") as first, told.open("w") as second:
            done = subprocess.run(
                command, env=environ, cwd=self.folder, stdout=first, stderr=second, timeout=560, check=False
            )
        return done.returncode, out.read_text(), told.read_text()

    def stop(self) -> None:
        subprocess.run([str(self.bin / "stop-services")], check=False, timeout=60)


@pytest.fixture
def machine(tmp_path: Path, mongod: Mongod) -> Iterator[Machine]:
    """A machine as the guide has it; its services are stopped in the end."""
    with serving({"INBOX": Box([Mail(1, message(3))])}, user="grace") as server:
        machine = Machine(tmp_path, mongod, server.url)
        yield machine
        machine.stop()


def with_account(blocks: list[str]) -> list[str]:
    """The account that the chapter on import asks for, in the database of that chapter."""
    body = '{"username": "grace", "password": "correct horse", "address": "grace@example.com"}'
    made = (
        "export MALLARD_TOKEN=static; mallard api; "
        "curl --silent --fail -H 'X-Access-Token: static' -H 'Content-Type: application/json' "
        f"http://127.0.0.1:8080/users -d '{body}'"
    )
    first = next(n for n, block in enumerate(blocks) if block.startswith("mallard import"))
    return [*blocks[:first], made, *blocks[first:]]


def test_every_command_works(machine: Machine) -> None:
    assert len(SHELL) >= 15
    status, out, told = machine.run(with_account(SHELL))
    assert status == 0, f"{told[-3000:]}\n{machine.log.read_text()[-3000:]}"
    assert '{"status":"ok","database":"ok","queue":"ok"}' in out
    assert "mallard_requests_total{" in out
    assert "1 messages stored" in out
    assert "3 were there already" in out
    assert (machine.folder / "backups/grace.tar").stat().st_size > 1000


def test_the_systemd_unit_can_be_read_and_starts_a_command_that_is_there() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(next(text for kind, text in BLOCKS if kind == "ini"))
    program, *words = unit["Service"]["ExecStart"].split()
    assert program.endswith("/mallard")
    assert CliRunner().invoke(main, [*words, "--help"]).exit_code == 0


def test_what_it_names_is_there() -> None:
    settings = {f"MALLARD_{name.upper()}" for name in Settings.__dataclass_fields__}
    others = {"MALLARD_CONFIG", "MALLARD_IMPORT_PASSWORD"}
    assert set(re.findall(r"\bMALLARD_[A-Z_0-9]+\b", GUIDE)) <= settings | others
    roles = re.search(r"\| role \| for \|\n(.*?)\n\n", GUIDE, re.S)
    assert roles
    assert set(re.findall(r"`(\w+)`", roles[1])) == set(ROLES) - {"export"}
    page = Metrics().page().decode()
    own = set(re.findall(r"^# TYPE (\w+)", page, re.M))
    named = set(re.findall(r"`(mallard_\w+)`", GUIDE))
    assert {
        name
        for name in named
        if not name.startswith(("mallard_queue", "mallard_tasks", "mallard_database_up"))
    } == own
    for path in re.findall(r"\]\(([\w./]+)\)", GUIDE):
        assert (ROOT / "docs" / path).exists(), path
