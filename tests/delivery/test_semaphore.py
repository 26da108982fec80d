"""The weighted semaphore that messages in memory share."""

from __future__ import annotations

import asyncio

from delivery.inbound.semaphore import Semaphore


def test_first_come_first_served_and_never_more_than_there_is() -> None:
    semaphore, inside, order = Semaphore(10), {"now": 0, "most": 0}, list[int]()

    async def visit(number: int, size: int) -> None:
        async with semaphore.acquired(size):
            order.append(number)
            inside["now"] += min(size, 10)
            inside["most"] = max(inside.values())
            await asyncio.sleep(0.001)
            inside["now"] -= min(size, 10)

    async def all_of_them() -> None:
        await asyncio.gather(*(visit(number, size) for number, size in enumerate([4, 5, 99, 1, 1, 7, 0])))

    asyncio.run(all_of_them())
    assert order == [0, 1, 2, 3, 4, 5, 6]
    assert inside == {"now": 0, "most": 10}


def test_who_gives_up_waiting_takes_nothing() -> None:
    async def run() -> None:
        semaphore = Semaphore(10)
        async with semaphore.acquired(10):
            waiting = asyncio.ensure_future(semaphore.acquired(5).__aenter__())
            await asyncio.sleep(0.001)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(1), semaphore.acquired(10):
            pass

    asyncio.run(run())
