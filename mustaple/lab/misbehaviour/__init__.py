"""Responders and servers that misbehave on command: what they do wrong by name, and when, told before or meanwhile."""

from __future__ import annotations

from mustaple.lab.misbehaviour.catalogue import BEHAVIOURS, Behaviour
from mustaple.lab.misbehaviour.plan import Plan
from mustaple.lab.misbehaviour.serving import MisbehavingResponder
from mustaple.lab.misbehaviour.stapling import MisbehavingStapler

__all__ = ["BEHAVIOURS", "Behaviour", "MisbehavingResponder", "MisbehavingStapler", "Plan"]
