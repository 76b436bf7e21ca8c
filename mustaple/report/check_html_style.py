"""How the page of `mustaple check` looks: one column on a phone, light or dark as the reader's system is."""

from __future__ import annotations

from typing import Final

STYLE: Final = """\
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2024; --soft: #5b646e; --line: #dfe3e8; --card: #f6f8fa;
  --good: #116329; --bad: #b3261e; --dim: #8a5a00; --link: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #101317; --ink: #e6e9ed; --soft: #9aa4af; --line: #2c333b; --card: #181c22;
    --good: #5fcf80; --bad: #ff8a80; --dim: #f0b429; --link: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1rem; margin: 0; }
p { margin: .3rem 0; }
a { color: var(--link); }
header p, .how, .aside { color: var(--soft); font-size: .9rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; margin: .8rem 0; padding: 0; }
.tiles li { flex: 1 1 7rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem .8rem; }
.tiles b { display: block; font-size: 1.6rem; line-height: 1.2; }
.tiles .accepted b, .accepted .badge, .status.good { color: var(--good); }
.tiles .refused b, .tiles .internal-error b, .refused .badge, .internal-error .badge { color: var(--bad); }
.status.revoked, .status.unusable { color: var(--bad); }
.tiles .no-answer b, .no-answer .badge, .status.unknown, .status.missing { color: var(--dim); }
.filter { display: inline-block; margin: .5rem 0; }
body:has(#only:checked) details.wanted { display: none; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: 0 .8rem; }
details[open] { padding-bottom: .6rem; }
details.unwanted { border-left: .3rem solid var(--bad); }
details.no-answer.unwanted { border-left-color: var(--dim); }
summary { cursor: pointer; padding: .6rem 0; }
.badge, .status, .promise { font-size: .85rem; font-weight: 600; }
.name { font-weight: 600; }
.promise { color: var(--soft); }
.reason, .warning, p.unwanted { border-left: .2rem solid var(--bad); padding-left: .6rem; }
.warning { border-color: var(--dim); }
.note { color: var(--soft); padding-left: .8rem; }
section { background: var(--card); border-radius: .4rem; margin: .5rem 0; padding: .6rem .8rem; }
table { border-collapse: collapse; font-size: .85rem; margin-top: .3rem; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }
td:nth-child(2) { white-space: nowrap; }
th { color: var(--soft); font-weight: 400; }
@media (max-width: 40rem) {
  tr { border-top: 1px solid var(--line); display: block; padding: .3rem 0; }
  tr:first-child { display: none; }
  td { border: 0; display: grid; gap: .5rem; grid-template-columns: 5rem 1fr; overflow-wrap: anywhere; padding: 0; }
  td::before { color: var(--soft); content: attr(data-is); }
}
@media print { .filter { display: none; } details { break-inside: avoid; } }
"""
