"""The pages of a playground as HTML: the list of all cases, which a small script tries, and the page of one case."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from mustaple.core.policy import PRESETS
from mustaple.report.clauses import clause_url
from mustaple.report.playground_facts import NEEDS_ANCHOR, NEEDS_WORDS, clause_words, expectation_words
from mustaple.report.playground_trust import prose_html, trust_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.cases_corpus import Expectation, Family
    from mustaple.report.playground_facts import PlaygroundFacts, ServedCase

_EXAMPLE: Final = "freshness/expired"


@cache
def asset(name: str) -> str:
    """The text of one of the files that the pages hold: `playground.css` or `playground.js`."""
    return (files("mustaple.report") / "web" / name).read_text(encoding="utf-8")


@cache
def content_security_policy() -> str:
    """What a browser may do for these pages: run our script, use our style, and fetch the cases."""
    digests = {
        name: b64encode(sha256(asset(name).encode()).digest()).decode("ascii")
        for name in ("playground.css", "playground.js")
    }
    return (
        f"default-src 'none'; script-src 'sha256-{digests['playground.js']}'; "
        f"style-src 'sha256-{digests['playground.css']}'; connect-src 'self' https:; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def index_html(facts: PlaygroundFacts) -> str:
    """The page at the root. Without its script it still says everything but what the browser did."""
    return "".join(_index(facts))


def _index(facts: PlaygroundFacts) -> Iterator[str]:
    yield from _top("mustaple playground")
    yield "<header>\n<h1>mustaple playground</h1>\n"
    yield (
        f"<p>{len(facts.cases)} TLS servers, each at a name of its own and each in another situation: certificates "
        "that are good or revoked, staples that are fresh, stale, missing or somebody else's. For each it says what "
        "clients of five kinds should do, and this page tries what <em>your browser</em> does.</p>\n</header>\n<main>\n"
    )
    yield '<section id="result" aria-live="polite">\n<h2>Your browser</h2>\n'
    yield '<p id="summary">To try the cases from here takes JavaScript. Without it, follow their links.</p>\n'
    yield (
        '<progress id="progress" max="1" value="0" hidden></progress>\n<p id="facts" class="aside"></p>\n'
        '<div id="nearest"></div>\n<p><button id="again" type="button" hidden>Try again</button></p>\n</section>\n'
    )
    example = next((case for case in facts.cases if case.listed.id == _EXAMPLE), facts.cases[0])
    yield from trust_html(facts, example.url, example.host)
    yield from _about()
    yield '<nav aria-label="Families">\n<ul class="families">\n'
    present = [family for family in facts.families if any(case.listed.family == family.name for case in facts.cases)]
    yield from (f'<li><a href="#{escape(family.name)}">{escape(family.name)}</a></li>\n' for family in present)
    yield '</ul>\n<label id="filter" hidden><input type="checkbox" id="only"> only where it differs from the nearest'
    yield "</label>\n</nav>\n"
    for family in present:
        yield from _family(family, facts)
    yield (
        f'</main>\n<footer>\n<p>mustaple {escape(facts.version)} · <a href="/cases.json">cases.json</a> · this page '
        f'over <a href="{escape(facts.url)}">HTTPS</a> and <a href="{escape(facts.page_url)}">HTTP</a></p>\n</footer>\n'
    )
    yield f"<script>{asset('playground.js')}</script>\n</body>\n</html>\n"


def _about() -> str:
    return """\
<details>
<summary>What the columns mean</summary>
<dl>
<dt>ignore</dt><dd>looks at no evidence of revocation, like curl and most libraries</dd>
<dt>soft-fail</dt><dd>refuses a revoked leaf, and shrugs where it learns nothing, like the classic browser</dd>
<dt>must-staple</dt><dd>soft-fail, and refuses a leaf that promised a staple (RFC 7633) and breaks its word</dd>
<dt>hard-fail</dt><dd>refuses a leaf for which it can get no good evidence</dd>
<dt>strict</dt><dd>refuses unless every certificate below the root comes with a good staple</dd>
</dl>
<p>A case is marked <b class="importance">must</b> where an RFC forbids to deviate or a thief of the key gets in, should
where an RFC advises against it or honest servers suffer, and curious where no text settles it. A browser tells a page
that a connection failed, and not why: refused here means that it did not load.</p>
</details>
"""


def _family(family: Family, facts: PlaygroundFacts) -> Iterator[str]:
    name = escape(family.name)
    yield f'<section class="family" id="{name}">\n<h2>{name}</h2>\n<p class="aside">{prose_html(family.about)}</p>\n'
    heads = "".join(f'<th scope="col">{escape(preset)}</th>' for preset in PRESETS)
    yield f'<table>\n<thead><tr><th scope="col">case</th><th scope="col">your browser</th>{heads}</tr></thead>\n'
    yield "<tbody>\n"
    for case in facts.cases:
        if case.listed.family == family.name:
            yield from _row(case)
    yield "</tbody>\n</table>\n</section>\n"


def _row(case: ServedCase) -> Iterator[str]:
    listed = case.listed
    yield f'<tr id="{escape(case.host.partition(".")[0])}" data-case="{escape(listed.id)}">\n<th scope="row">'
    yield f'<a href="{escape(case.url)}">{escape(listed.id.partition("/")[2])}</a> '
    yield f'<span class="importance">{escape(listed.importance)}</span>\n<p>{prose_html(listed.description)}</p>\n'
    yield from _aside(case)
    yield '</th>\n<td class="browser" data-is="your browser">not tried</td>'
    for preset, expected in listed.expected.items():
        yield f'<td class="{expected.outcome.value}" data-is="{escape(preset)}">{_verdict(expected)}</td>'
    yield "\n</tr>\n"


def _verdict(expected: Expectation) -> str:
    verb, _, why = expectation_words(expected).replace(", noting", ":").partition(":")
    return verb + (f" <small>{escape(why.strip())}</small>" if why else "")


def _aside(case: ServedCase) -> Iterator[str]:
    said = []
    if case.own_url is not None:
        said.append(f'also at <a href="{escape(case.own_url)}">{escape(case.own_url)}</a>')
    if len(case.protocols) == 1:
        said.append(f"{escape(case.protocols[0])} alone")
    for need in case.needs:
        words = NEEDS_WORDS[need]
        link = f' (<a href="{_anchor_path(case)}">its root</a>)' if need == NEEDS_ANCHOR else ""
        said.append(f"needs {escape(words)}{link}")
    said += map(_clause, dict.fromkeys(map(clause_words, case.listed.clauses)))
    if said:
        yield f'<p class="aside">{" · ".join(said)}</p>\n'


def _anchor_path(case: ServedCase) -> str:
    return f"/anchors/{escape(case.host.partition('.')[0])}.pem"


def _clause(words: str) -> str:
    url = clause_url(words)
    return escape(words) if url is None else f'<a href="{escape(url)}">{escape(words)}</a>'


def case_html(facts: PlaygroundFacts, case: ServedCase, met: str) -> str:
    """The page of one case; `met` says how the client that asks got here."""
    return "".join(_case(facts, case, met))


def _case(facts: PlaygroundFacts, case: ServedCase, met: str) -> Iterator[str]:
    listed = case.listed
    yield from _top(f"{listed.id}: mustaple playground")
    yield f'<header>\n<p><a href="{escape(facts.page_url)}">mustaple playground</a></p>\n<h1>{escape(listed.id)}</h1>\n'
    yield f"<p>{prose_html(listed.description)}</p>\n"
    yield from _aside(case)
    yield "</header>\n<main>\n"
    yield f'<p class="loaded">Your client loaded it. {escape(met)}</p>\n'
    yield '<table class="one">\n<thead><tr><th scope="col">policy</th><th scope="col">should</th></tr></thead>\n'
    yield "<tbody>\n"
    for preset, expected in listed.expected.items():
        cell = f'<td class="{expected.outcome.value}">{_verdict(expected)}</td>'
        yield f'<tr><th scope="row">{escape(preset)}</th>{cell}</tr>\n'
    yield f'</tbody>\n</table>\n<p class="aside">{escape(listed.importance)}: {_IMPORTANCE[listed.importance]}</p>\n'
    yield "</main>\n</body>\n</html>\n"


_IMPORTANCE: Final = {
    "must": "an RFC forbids to deviate, or a thief of the key gets in",
    "should": "an RFC advises against deviating, or honest servers suffer",
    "curious": "no text settles it",
}


def _top(title: str) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
    yield f"<title>{escape(title)}</title>\n<style>{asset('playground.css')}</style>\n</head>\n<body>\n"
