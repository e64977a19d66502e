"""`freja`: Freja eID, on the caller's phone."""

from __future__ import annotations

from typing import ClassVar

from ivr.call.outcome import Factor, Outcome
from ivr.call.steps import Round, Tools
from ivr.call.steps.eid import by_eid
from ivr.prompts import Prompt


class FrejaStep:
    """Level 3 by itself: who the caller is says somebody who has seen a passport."""

    name: ClassVar[str] = "freja"
    factor: ClassVar[Factor] = Factor.EID

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def run(self, round: Round) -> Outcome:
        return await by_eid(self, round, self._tools, Prompt.ASK_FREJA)
