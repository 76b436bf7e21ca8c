"""What `mustaple compare --html` does: compare, measure, simulate, and write one page of it all."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mustaple.lab.compare.ledger import Ledger
    from mustaple.lab.compare.order import Order
    from mustaple.report.comparison import Comparison


def compare_study(order: Order, ledger: Ledger, html: Path, *, full: bool) -> Comparison:
    """Write the page to this file, whole or not at all; what the comparison came to.

    Raises InputError where numpy or matplotlib are missing.
    """
    from mustaple.cli.progress import Bar
    from mustaple.report.check_output import report_output

    with _libraries():
        import matplotlib as mpl  # noqa: F401 - asked for before the work, so that nothing is measured in vain

        from mustaple.lab.study import steps, study
        from mustaple.report.study_html import study_html
    with report_output(html) as write:
        with Bar.shown(steps(order, ledger, full=full), "studying") as bar:
            found = study(order, ledger, bar.step, full=full)
        write(study_html(found))
    return found.comparison


@contextmanager
def _libraries() -> Iterator[None]:
    from mustaple.core.errors import InputError

    try:
        yield
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        raise InputError(f"mustaple compare --html takes {library}: pip install 'mustaple[study]'") from None
