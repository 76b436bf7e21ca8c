"""Agents that share their staples: one of them asks for all, and each deploys what any of them has."""
