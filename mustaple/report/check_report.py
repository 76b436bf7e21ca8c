"""The reporter of each format, loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from mustaple.report.check_run import Format

if TYPE_CHECKING:
    from pathlib import Path

    from mustaple.report.check_run import Reporter

_WHERE: Final = {
    Format.TEXT: ("check_text", "TextReporter"),
    Format.JSON: ("check_json", "JsonReporter"),
    Format.JUNIT: ("check_junit", "JunitReporter"),
    Format.SARIF: ("check_sarif", "SarifReporter"),
    Format.GITHUB: ("check_github", "GithubReporter"),
    Format.PROMETHEUS: ("check_prometheus", "PrometheusReporter"),
    Format.HTML: ("check_html", "HtmlReporter"),
}


def reporter_for(form: Format | str, *, step_summary: Path | None = None) -> Reporter:
    """A new reporter, for one run. `step_summary` is the file that GitHub names in GITHUB_STEP_SUMMARY."""
    form = Format(form)
    module, name = _WHERE[form]
    made = getattr(import_module(f"mustaple.report.{module}"), name)
    reporter: Reporter = made(step_summary) if form is Format.GITHUB else made()
    return reporter
