"""How verdicts and findings look: the only place that renders."""
