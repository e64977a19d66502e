"""Sends channels away that no session runs: callers to the unverified path, agents' legs to their end."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.leg import LEG_PREFIX
from ivr.asterisk.line import DISPLAY
from ivr.asterisk.sweep import Disown
from ivr.call.mark import STATUS, unmarked
from ivr.call.outcome import Status
from ivr.errors import AriError, Unavailable


class Dismissal:
    """Nobody is left behind in silence; what cannot be done is logged, and the watchdog has the channel."""

    def __init__(self, ari: Ari, *, disown: Disown, log: FilteringBoundLogger) -> None:
        self._ari = ari
        self._disown = disown
        self._log = log

    async def send_away(self, channel: str) -> None:
        """An agent's leg that nobody waits for is hung up; any other channel goes to the unverified path."""
        try:
            if channel.startswith(LEG_PREFIX):
                await self.hang_up(channel)
                return
            # the status stays empty: so the dialplan says the sentence that nobody has said
            void = {**unmarked(Status.UNAVAILABLE), STATUS: "", DISPLAY: "", "__TILLIT_BADGE": ""}
            variables = {"variables": void}
            try:
                await self._ari.request("POST", f"channels/{channel}/variables", variables, channel=channel)
            except AriError as error:
                # A prompt is being played: Asterisk sets them behind it, and what is asked for next comes behind that.
                if error.status not in (0, 404):
                    raise
            # Behind that: a verified caller who is in the dialplan (409), listed because the end is watched, keeps the mark.
            try:
                await self._disown(channel)
            except Unavailable as error:
                self._log.error("mark.not_dropped", channel=channel, error=str(error))
            await self._ari.request("POST", f"channels/{channel}/continue", quick=True, channel=channel)
        except AriError as error:
            if error.status in (404, 409):
                return  # gone, or in the dialplan already
            if error.status == 412:
                # not answered: one end of a transfer, with no dialplan to go on in
                await self.hang_up(channel)
                return
            self._log.error("channel.stuck", channel=channel, error=str(error))

    async def turn_away(self, channel: str) -> None:
        """A caller who has just come in goes to the unverified path, by as little as it takes: the dialplan has voided all else."""
        try:
            try:
                # of an earlier round of this channel there may be one
                await self._disown(channel)
            except Unavailable as error:
                self._log.error("mark.not_dropped", channel=channel, error=str(error))
            await self._ari.request("POST", f"channels/{channel}/continue", quick=True, channel=channel)
        except AriError as error:
            if error.status not in (404, 409):
                self._log.error("channel.stuck", channel=channel, error=str(error))

    async def hang_up(self, channel: str) -> None:
        """End this channel; nothing happens when it has ended."""
        try:
            await self._ari.request("DELETE", f"channels/{channel}", quick=True, channel=channel)
        except AriError as error:
            if error.status != 404:
                self._log.error("channel.stuck", channel=channel, error=str(error))
