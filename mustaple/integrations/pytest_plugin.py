"""Fixtures for tests of TLS clients and servers; nothing of mustaple is loaded until a test asks for one."""

from __future__ import annotations
