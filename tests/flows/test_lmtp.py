"""Mail in by LMTP through `mallard serve`: nothing lost and nothing doubled by kill -9, and every byte of real mail."""

from __future__ import annotations

import os
import queue
import random
import signal
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from mail.mime_tree import normalize
from tests.delivery.conftest import Raw

pytestmark = pytest.mark.timeout(500)

DELIVERIES = 500
CLIENTS = 8
KILLS = 3
SECONDS = 200


def make_account(base: str, name: str, **fields: Any) -> str:
    body = {"username": name, "password": "correct horse battery", "address": f"{name}@example.com", **fields}
    return str(requests.post(f"{base}/users", json=body, timeout=30).json()["id"])


def marker(number: int) -> bytes:
    """A message that is like no other; every other one has a Message-ID."""
    named = f"Message-ID: <{number}@example.org>\r\n" if number % 2 else ""
    head = f"From: grace@example.org\r\nTo: ada@example.com\r\nSubject: number {number}\r\n{named}"
    return f"{head}\r\n{'text ' * 200}\r\n".encode()


class Mta:
    """Hands messages in as an MTA does: what is not acknowledged is sent again, to the same recipients."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.waiting: queue.Queue[int] = queue.Queue()
        self.acknowledged: Counter[int] = Counter()
        self.attempts = 0
        self.lost = 0
        self.repeated = 0
        self._lock = threading.Lock()

    def run(self, numbers: range) -> None:
        for number in numbers:
            self.waiting.put(number)
        clients = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(SECONDS)

    @property
    def count(self) -> int:
        return len(self.acknowledged)

    def _client(self) -> None:
        deadline = time.monotonic() + SECONDS
        while self.count < DELIVERIES and time.monotonic() < deadline:
            with suppress(OSError), smtplib.LMTP("127.0.0.1", self.port, timeout=20) as client:
                self._deliver(client)
            time.sleep(0.05)

    def _deliver(self, client: smtplib.LMTP) -> None:
        while True:
            try:
                number = self.waiting.get(timeout=0.5)
            except queue.Empty:
                return
            with self._lock:
                self.attempts += 1
            try:
                reply = self._send(client, number)
            except Exception:
                with self._lock:
                    self.lost += 1
                self.waiting.put(number)
                raise
            self.acknowledged[number] += 1
            self.repeated += b"duplicate" in reply

    def _send(self, client: smtplib.LMTP, number: int) -> bytes:
        client.ehlo_or_helo_if_needed()
        client.mail("grace@example.org")
        client.rcpt("ada@example.com")
        code, reply = client.data(marker(number))
        if code != 250:
            raise smtplib.SMTPDataError(code, reply)
        return reply


def test_killed_in_the_midst_of_500_deliveries(serve: Callable[..., Any]) -> None:
    served = serve(MALLARD_LMTP_CHECKS="disabled quota", MALLARD_LMTP_THREADS="4")
    user = make_account(served.base, "ada")
    mta = Mta(served.lmtp_port)
    work = threading.Thread(target=mta.run, args=(range(DELIVERIES),))
    work.start()
    for number in range(1, KILLS + 1):
        wait_for(lambda wanted=number * DELIVERIES // (KILLS + 1): mta.count >= wanted)
        time.sleep(random.random() / 20)
        for pid in served.children()["lmtp"]:
            os.kill(pid, signal.SIGKILL)
    work.join(SECONDS)
    stored = subjects(served.base, user)
    print(
        f"{DELIVERIES} messages, {mta.attempts} attempts, {mta.lost} of them cut off by {KILLS} times kill -9: "
        f"{len(stored)} stored, {len(stored) - len(set(stored))} twice; {mta.repeated} had been stored and not "
        "acknowledged"
    )
    missing = {f"number {n}" for n in mta.acknowledged} - set(stored)
    assert not missing, f"acknowledged and lost: {missing}"
    assert mta.count == DELIVERIES, "the client must have got through in time"
    assert mta.lost > 0, "the process must have been killed while it delivered"
    assert Counter(stored) == Counter(f"number {number}" for number in range(DELIVERIES))
    limits = requests.get(f"{served.base}/users/{user}", timeout=30).json()["limits"]
    recount = requests.post(f"{served.base}/users/{user}/quota/reset", timeout=30).json()
    assert recount["storageUsed"] == limits["quota"]["used"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def subjects(base: str, user: str) -> list[str]:
    inbox = requests.get(f"{base}/users/{user}/mailboxes/resolve?path=INBOX", timeout=30).json()["id"]
    found: list[str] = []
    cursor: Any = ""
    while cursor is not False:
        place = f"{base}/users/{user}/mailboxes/{inbox}/messages"
        page = requests.get(place, params={"limit": "250", "next": cursor}, timeout=30).json()
        found += [row["subject"] for row in page["results"]]
        cursor = page["nextCursor"]
    return found


def test_the_corpus_comes_back_byte_for_byte(serve: Callable[..., Any], corpus: list[Path]) -> None:
    served = serve(MALLARD_LMTP_CHECKS="none", MALLARD_SPAM_HEADERS="X-No-Such-Header")
    user = make_account(served.base, "ada", quota=2**40)
    inbox = requests.get(f"{served.base}/users/{user}/mailboxes/resolve?path=INBOX", timeout=30).json()["id"]
    place = f"{served.base}/users/{user}/mailboxes/{inbox}/messages"
    with Raw(served.lmtp_port) as client:
        for uid, file in enumerate(corpus, 1):
            content = file.read_bytes()
            (reply,) = client.send(content, "ada@example.com", sender=f"{uid}@example.org")
            assert reply.startswith("250 2.1.5 Message stored as "), (file.name, reply)
            source = requests.get(f"{place}/{uid}/message.eml", timeout=60).content
            ended = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
            trace, mark, rest = source.partition(b" +0000\r\n")
            assert trace.startswith(b"Delivered-To: ada@example.com\r\nReturn-Path: <"), file.name
            assert mark
            assert rest == normalize(ended), file.name
            # another file may have the same Message-ID, date and text
            assert requests.delete(f"{place}/{uid}", timeout=60).status_code == 200


def test_a_stop_finishes_what_is_in_flight(serve: Callable[..., Any]) -> None:
    served = serve()
    user = make_account(served.base, "ada")
    with Raw(served.lmtp_port) as client:
        client.say("LHLO mx.example.net")
        client.say("MAIL FROM:<grace@example.org>")
        client.say("RCPT TO:<ada@example.com>")
        client.say("DATA")
        client.write(marker(1)[:100])
        (pid,) = served.children()["lmtp"]
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.3)
        client.write(marker(1)[100:] + b".\r\n")
        assert client.reply().startswith("250 2.1.5 Message stored as ")
        assert client.reply() == "421 4.3.2 Service is stopping"
        assert client.reply() == ""
    assert subjects(served.base, user) == ["number 1"]
    wait_for(lambda: bool(served.children()["lmtp"]) and served.children()["lmtp"] != [pid])
