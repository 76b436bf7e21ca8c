"""One simulation in a process of its own: how long its connections took, and the most memory it ever held, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time

from mustaple.lab.simulate.parameters import shipped
from mustaple.lab.simulate.running import simulate

connections = int(sys.argv[1])
# The tables of outcomes and the libraries are there before the clock starts.
simulate(shipped(), connections=5, seed=1, replications=5)
start, spent = time.perf_counter(), time.process_time()
simulate(shipped(), connections=connections, seed=1)
seconds, spent = time.perf_counter() - start, time.process_time() - spent
json.dump(
    {
        "seconds": seconds,
        "spent": spent,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    },
    sys.stdout,
)
