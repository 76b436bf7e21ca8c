"""How somebody else's TLS server staples: started from a recipe before a responder that behaves as the bench says.

recipe = load("nginx")
report = grade(Order(recipe=recipe))
report.staples_first_handshake  # True, False, or None where it could not be seen
"""

from __future__ import annotations

from mustaple.lab.grade_server.recipe import Recipe, load, recipe_names

__all__ = ["Recipe", "load", "recipe_names"]
