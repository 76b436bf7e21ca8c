"""The playground: every case of the corpus as a live server of its own name, and a page on which a browser tries them.

with Playground() as playground:
    open_in_a_browser(playground.page_url, trusting=playground.root_pem)
"""

from __future__ import annotations

from mustaple.lab.playground.playground import Playground

__all__ = ["Playground"]
