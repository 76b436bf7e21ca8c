"""The playground under two hundred clients at once, for a moment; `make soak-playground` does the same for a minute."""

from __future__ import annotations

import os
import threading
from collections import Counter

import pytest
from playground_clients import Busy, Held
from soak_playground import GROWTH_LIMIT, Soak, soak


@pytest.mark.timeout(300)  # each waits for its turn on a machine with others
def test_many_clients_at_once_are_all_served_and_leave_nothing_behind() -> None:
    found = soak(seconds=1, clients=200, warm_up=1, number_of_cases=8)
    assert found.faults == []
    assert found.busy.served.total() >= 200
    assert len(found.busy.served) == 8


def test_what_stays_is_a_fault() -> None:
    served, held = Busy(Counter({"a": 1}), seconds=1.0), Held(50.0, 20, 4)
    assert Soak(served, held, held).faults == []
    assert Soak(Busy(seconds=1.0), held, held).faults == ["nobody was served"]
    assert Soak(Busy(Counter({"a": 1}), Counter({"b: reset": 2}), 1.0), held, held).faults == ["2 times b: reset"]
    assert Soak(served, held, Held(50.0, 22, 4)).faults == ["2 descriptors stayed open"]
    assert Soak(served, held, Held(50.0, 20, 5)).faults == ["1 threads stayed"]
    assert Soak(served, held, Held(51.0 + GROWTH_LIMIT, 20, 4)).faults == [f"memory grew by {1 + GROWTH_LIMIT:.1f} MiB"]


def test_what_a_process_holds_is_read_from_the_system() -> None:
    before = Held.by(os.getpid())
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    reading, writing = os.pipe()
    thread.start()
    try:
        held = Held.by(os.getpid())
    finally:
        done.set()
        thread.join()
        os.close(reading)
        os.close(writing)
    assert (held.descriptors - before.descriptors, held.threads - before.threads) == (2, 1)
    assert held.resident > 1
