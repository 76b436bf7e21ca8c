"""How somebody else's TLS client behaves: it meets live cases one by one, and the nearest policy is named.

recipe = load("curl")
with Bench(cases(), recipe) as bench:
    controls(bench)
    report = grade(bench.run_all(jobs=2), ...)
"""

from __future__ import annotations

from mustaple.lab.grade_client.attempt import Attempts, Ending
from mustaple.lab.grade_client.recipe import Recipe, Sign, load, recipe_names

__all__ = ["Attempts", "Ending", "Recipe", "Sign", "load", "recipe_names"]
