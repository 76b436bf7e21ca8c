"""Keeps time for what is done again and again: a round every so often, for so long, each when it is due."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


async def rounds(every: float, span: float | None = None) -> AsyncGenerator[int, None]:
    """The number of each round, from 0, when it is due: one at once, the next `every` seconds after that began.

    Of rounds that fall due while one is still going on, none is made up for. No round begins `span` seconds or later
    after the first; None is for ever. The wait between rounds ends at once when its task is cancelled.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    number = 0
    while True:
        yield number
        number = max(number + 1, math.ceil((clock() - began) / every))
        due = number * every
        if span is not None and due >= span:
            return
        await asyncio.sleep(due - (clock() - began))
