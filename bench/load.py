"""A load generator for loopback: a few keep-alive connections, each sending the next request after its answer."""

from __future__ import annotations

import socket
import threading
import time


def requests_per_second(port: int, path: str, connections: int, seconds: float) -> float:
    """Send GET requests for `seconds`, after half a second of warming up; how many were answered a second."""
    counts = [0] * connections
    begin = time.perf_counter() + 0.5
    threads = [
        threading.Thread(target=_client, args=(port, path, begin, seconds, counts, number))
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def _client(port: int, path: str, begin: float, seconds: float, counts: list[int], number: int) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (now := time.perf_counter()) < begin + seconds:
            connection.sendall(request)
            _read_answer(connection)
            counts[number] += now >= begin


def _read_answer(connection: socket.socket) -> None:
    data = connection.recv(65536)
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"not measured, the answer was {data[:500]!r}")
    length = int(
        next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))[15:]
    )
    missing = length - len(body)
    while missing > 0:
        missing -= len(connection.recv(min(missing, 1 << 20)))
