"""How somebody else's TLS client behaves: it meets live cases one by one, and the nearest policy is named.

Every run is a process of its own, and all of it is on loopback.

    report = grade(Order(recipe=load("curl"), cases=cases(["freshness"]), jobs=2))
    report.profile  # "ignore"
"""

from __future__ import annotations

from mustaple.lab.grade_client.attempt import Attempts, Ending
from mustaple.lab.grade_client.grading import ControlError, Order, grade
from mustaple.lab.grade_client.recipe import Recipe, Sign, load, recipe_names

__all__ = ["Attempts", "ControlError", "Ending", "Order", "Recipe", "Sign", "grade", "load", "recipe_names"]
