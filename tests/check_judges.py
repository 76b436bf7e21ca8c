"""Who says that a report is good: its format's schema or parser, and a reader that looks for what was put in."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jsonschema
import xmlschema
from check_runs import HOSTILE
from prometheus_client.parser import text_string_to_metric_families

from mustaple.report.check_run import Format
from mustaple.report.check_schema import Report
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMAS: Final = Path(__file__).parent / "schemas"
IN_JSON: Final = HOSTILE.replace("\udc80", r"\udc80")
CHECK_SCHEMA: Final = Path(__file__).parent.parent / "docs" / "schemas" / "check.json"


def sarif_validator() -> jsonschema.Draft4Validator:
    """The validator of SARIF 2.1.0."""
    return jsonschema.Draft4Validator(json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text()))


def check_validator() -> jsonschema.Draft202012Validator:
    """The validator of our own report."""
    return jsonschema.Draft202012Validator(json.loads(CHECK_SCHEMA.read_text()))


def valid_sarif(document: str) -> None:
    sarif_validator().validate(json.loads(document))


def valid_json(document: str) -> None:
    check_validator().validate(json.loads(document))
    Report.model_validate_json(document)  # and times are times


def valid_junit(document: str) -> None:
    xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd")).validate(document)


def valid_prometheus(document: str) -> None:
    families = list(text_string_to_metric_families(document))
    assert len({family.name for family in families}) == len(families)
    samples = Counter((each.name, *sorted(each.labels.items())) for family in families for each in family.samples)
    assert set(samples.values()) == {1}
    assert document.count("# HELP ") == document.count("# TYPE ") == len(families)


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, its text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in {"href", "src"}}

    def handle_data(self, data: str) -> None:
        self.text += data


_KNOWN_TAGS: Final = frozenset(
    {"html", "head", "meta", "title", "style", "body", "header", "main", "section", "details", "summary"}
    | {"h1", "h2", "p", "ul", "li", "b", "br", "span", "a", "label", "input", "table", "tr", "th", "td"}
)


def valid_html(document: str) -> None:
    page = Page(document)
    assert set(page.tags) <= _KNOWN_TAGS
    assert not {name for name in page.attributes if name.startswith("on")}
    assert all(link.startswith("https://www.rfc-editor.org/rfc/rfc") for link in page.links)
    assert "default-src 'none'" in document


def valid_lines(document: str) -> None:
    assert {letter for letter in document if not letter.isprintable()} <= {"\n"}


VALID: Final[dict[Format, Callable[[str], None]]] = {
    Format.TEXT: valid_lines,
    Format.JSON: valid_json,
    Format.JUNIT: valid_junit,
    Format.SARIF: valid_sarif,
    Format.GITHUB: valid_lines,
    Format.PROMETHEUS: valid_prometheus,
    Format.HTML: valid_html,
}


def same_text(document: str) -> None:
    """Six rows, whatever lines the target claims for itself; its own words are no row."""
    rows = [line for line in document.splitlines() if line and not line.startswith(" ")]
    assert len(rows) == 1 + 6 + 4
    assert not any(line.startswith("accepted: y") for line in document.splitlines())


def same_json(document: str) -> None:
    """JSON can carry all but lone surrogates: it comes out as it went in."""
    assert {each["target"] for each in json.loads(document)["results"]} == {IN_JSON}


def same_junit(document: str) -> None:
    root = ET.fromstring(document)  # noqa: S314  we wrote it
    assert [case.get("name") for case in root.iter("testcase")] == [printable(HOSTILE)] * 6
    assert Counter(child.tag for case in root.iter("testcase") for child in case) == {"failure": 3, "error": 2}


def same_sarif(document: str) -> None:
    (run,) = json.loads(document)["runs"]
    names = {each["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for each in run["results"]}
    assert names == {IN_JSON}
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]}
    assert all(re.fullmatch(r"tls://[A-Za-z0-9%:_.~\[\]-]+", uri) for uri in uris)


def same_github(document: str) -> None:
    """Read as the runner reads it: by lines; a command is one that begins with `::`, or has `##[` in it."""
    lines = document.splitlines()
    commands = [re.fullmatch(r"::(\w+) title=([^,:]*)::(.*)", line) for line in lines if line.startswith("::")]
    assert all(commands)
    found = [(each[1], unescaped(each[2])) for each in commands if each is not None]
    name = printable(HOSTILE)
    assert Counter(kind for kind, _ in found) == {"error": 6, "warning": 1, "notice": 1}
    assert all(title.startswith(f"mustaple: {name}: ") for _, title in found[:-1])
    others = [line for line in lines if not line.startswith("::")]
    assert [line.partition(" ")[0] for line in others] == ["accepted:"]
    assert not any("##[" in line or line.lstrip().startswith("::") for line in others)


def unescaped(text: str) -> str:
    """What the runner makes of a property."""
    for sign, written in (("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C"), ("%", "%25")):
        text = text.replace(written, sign)
    return text


def same_prometheus(document: str) -> None:
    families = {family.name: family for family in text_string_to_metric_families(document)}
    accepted = families["mustaple_check_accepted"].samples
    assert {each.labels["target"] for each in accepted} == {printable(HOSTILE)}
    assert [each.labels.get("nth") for each in accepted] == [None, "2", "3", "4", "5", "6"]


def same_html(document: str) -> None:
    page = Page(document)
    assert page.tags["details"] == 6
    assert page.text.count(printable(HOSTILE)) >= 6
    assert page.tags["script"] == page.tags["img"] == 0


SAME: Final[dict[Format, Callable[[str], None]]] = {
    Format.TEXT: same_text,
    Format.JSON: same_json,
    Format.JUNIT: same_junit,
    Format.SARIF: same_sarif,
    Format.GITHUB: same_github,
    Format.PROMETHEUS: same_prometheus,
    Format.HTML: same_html,
}
