"""Changes which case a running server is, as its control endpoint tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError
from mustaple.lab.cases import find

if TYPE_CHECKING:
    from mustaple.lab.cases import Case
    from mustaple.lab.live.server import CaseServer

LOCALHOST: Final = "localhost"


class Switch:
    """The case that a server is to clients that ask for `localhost` or no name: `{"case": "freshness/expired"}`."""

    word: Final = "case"

    def __init__(self, server: CaseServer, case: Case) -> None:
        self._server = server
        self._case = case

    def tell(self, value: object) -> None:
        """Be this case from now on.

        Raises InputError for a case that there is not, and for one whose clients have to trust another root than they
        were told.
        """
        if not isinstance(value, str):
            raise InputError('"case" is the id of a case, as "freshness/expired"')
        case = find(value)
        now, then = (self._server.trusted(each, LOCALHOST) for each in (self._case, case))
        if now != then:
            raise InputError(f"clients of {case.id} have to trust another certificate: start a server for it")
        self._case = case
        self._server.meet_nameless(case)

    def shown(self) -> dict[str, object]:
        """Which case it is."""
        return {"case": self._case.id}
