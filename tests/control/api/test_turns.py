from __future__ import annotations

import asyncio

from gapura.control.api.turns import AT_ONCE, Turns


def test_a_burst_is_spread_over_turns_in_its_order() -> None:
    async def run() -> tuple[list[int], list[list[int]]]:
        turns, begun, seen = Turns(), [], []

        async def request(number: int) -> None:
            await turns.take()
            begun.append(number)

        tasks = [asyncio.ensure_future(request(number)) for number in range(30)]
        while len(begun) < 30:
            before = len(begun)
            await asyncio.sleep(0)
            seen.append(begun[before:])
        await asyncio.gather(*tasks)
        return begun, seen

    begun, seen = asyncio.run(run())
    assert begun == list(range(30))
    assert max(map(len, seen)) <= AT_ONCE


def test_who_is_gone_takes_nobodys_turn() -> None:
    async def run() -> list[int]:
        turns, begun = Turns(), []

        async def request(number: int) -> None:
            await turns.take()
            begun.append(number)

        tasks = [asyncio.ensure_future(request(number)) for number in range(3 * AT_ONCE)]
        await asyncio.sleep(0)
        for task in tasks[AT_ONCE : 2 * AT_ONCE]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(request(99), 60)
        return begun

    begun = asyncio.run(run())
    assert begun == [*range(AT_ONCE), *range(2 * AT_ONCE, 3 * AT_ONCE), 99]
