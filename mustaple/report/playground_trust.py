"""How each kind of client is told to trust a playground's root, and to forget it again."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.playground_facts import PlaygroundFacts


class Way(NamedTuple):
    """One client's way: what to know, the commands, and what undoes them.

    `{page}`, `{case}`, `{host}` and `{port}` stand for the plain page, a case's URL, its host and the port.
    """

    client: str
    words: str
    commands: str
    undo: str = ""


_CODE: Final = re.compile("`([^`]+)`")
FETCH: Final = "curl -o root.pem {page}root.pem"

WAYS: Final = (
    Way(
        "curl",
        "Nothing is installed: the root is named for one command. `--cert-status` asks for a staple and insists on it.",
        "curl --cacert root.pem {case}\ncurl --cacert root.pem --cert-status {case}",
    ),
    Way(
        "openssl",
        "`s_client` shows the staple and does not judge it.",
        "openssl s_client -connect localhost:{port} -servername {host} -CAfile root.pem -status",
    ),
    Way(
        "mustaple",
        "The strict client, which says why.",
        "mustaple check {host}:{port} --ca root.pem --policy strict",
    ),
    Way(
        "Firefox",
        "Best with a profile of its own. By hand: Settings, Privacy & Security, Certificates, Authorities, Import.",
        "mkdir profile && certutil -N -d sql:profile --empty-password\n"
        "certutil -A -d sql:profile -n mustaple-playground -t CT,, -i root.pem\n"
        "firefox --no-remote --profile profile {page}",
        "rm -r profile",
    ),
    Way(
        "Chromium and others on NSS",
        "On Linux they read the NSS database of the home folder, so give it another home: your own browser keeps its "
        "trust as it is. In Debian and Ubuntu `certutil` is in libnss3-tools.",
        "mkdir -p home/.pki/nssdb && certutil -N -d sql:home/.pki/nssdb --empty-password\n"
        "certutil -A -d sql:home/.pki/nssdb -n mustaple-playground -t C,, -i root.pem\n"
        "HOME=$PWD/home chromium {page}",
        "rm -r home",
    ),
    Way(
        "Java",
        "A trust store for one program. Where Java does not find names below localhost, start the playground with "
        "`--ports`: then every case is at localhost as well, on a port of its own.",
        "keytool -importcert -noprompt -alias mustaple -file root.pem -keystore trust.p12 -storepass changeit\n"
        "java -Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit …",
        "rm trust.p12",
    ),
    Way(
        "Python",
        "The same argument suits httpx (`verify=context`) and aiohttp (`ssl=context`).",
        'context = ssl.create_default_context(cafile="root.pem")',
    ),
    Way(
        "The whole system",
        "The last resort, since everything on the machine then trusts it. Debian and Ubuntu; on macOS it is "
        "`security add-trusted-cert`, on Windows `certutil -user -addstore Root`.",
        "sudo cp root.pem /usr/local/share/ca-certificates/mustaple-playground.crt\nsudo update-ca-certificates",
        "sudo rm /usr/local/share/ca-certificates/mustaple-playground.crt\nsudo update-ca-certificates --fresh",
    ),
)


def trust_html(facts: PlaygroundFacts, example: str, host: str) -> Iterator[str]:
    """The section of the page, with a case's URL and host as the example."""
    port = facts.url.rstrip("/").rpartition(":")[2]
    fill = {"page": facts.page_url, "case": example, "host": host, "port": port}
    pairs = [facts.fingerprint[place : place + 4] for place in range(0, len(facts.fingerprint), 4)]
    yield '<details id="trust">\n<summary>How to trust the root</summary>\n'
    yield (
        '<p><a class="button" href="/root.crt">Install root.crt</a> <a class="button" href="/root.pem" '
        'download="root.pem">Download root.pem</a></p>\n'
    )
    yield (
        "<p>The root was made when this playground started. Its key is in the memory of that process and nowhere else, "
        "and gone when it ends; the next start has another. Take the root out again when you are done.</p>\n"
    )
    yield f'<p class="aside">SHA-256 <code>{" ".join(pairs)}</code></p>\n'
    yield _commands("Or by a command", FETCH.format(**fill))
    for way in WAYS:
        yield f"<h3>{escape(way.client)}</h3>\n<p>{prose_html(way.words)}</p>\n"
        yield _commands(f"Commands for {way.client}", way.commands.format(**fill))
        if way.undo:
            yield "<p>To undo it:</p>\n" + _commands(f"Undo it for {way.client}", way.undo)
    yield "</details>\n"


def _commands(label: str, text: str) -> str:
    return f'<pre aria-label="{escape(label)}">{escape(text)}</pre>\n'


def prose_html(words: str) -> str:
    """Prose of ours, in which code stands between backquotes."""
    return _CODE.sub(r"<code>\1</code>", escape(" ".join(words.split())))
