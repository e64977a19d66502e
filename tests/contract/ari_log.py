"""A log that is read by tests, and a way to look for a text in everything that an error carries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger


class Log:
    """Every line that was logged, as a dictionary."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    @property
    def logger(self) -> FilteringBoundLogger:
        bound: FilteringBoundLogger = structlog.wrap_logger(
            None, processors=[self._keep], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        return bound

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of this kind."""
        return [line for line in self.lines if line["event"] == event]

    def _keep(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        self.lines.append(dict(event))
        raise structlog.DropEvent


def texts(error: BaseException | None) -> Iterator[str]:
    """Everything that a log or a report could show of an error and of those behind it."""
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield from texts(error.__cause__)
        error = error.__context__


async def wait_for(condition: Any, what: str = "it", limit: float = 10.0) -> None:
    """Wait until the condition holds."""
    try:
        async with asyncio.timeout(limit):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise TimeoutError(f"waited {limit:g} s in vain for {what}") from None
