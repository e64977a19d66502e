"""OpenID Connect Client-Initiated Backchannel Authentication (CIBA Core 1.0), poll and ping: a broker asks the person, on the person's own phone."""

from __future__ import annotations

from typing import Self

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import CODE_DIGITS, Done, EidAsked, Ended, Order, Pending
from ivr.config import Settings
from ivr.eid.openid import OpenId
from ivr.eid.ping import Expected, Pings
from ivr.eid.words import CIBA_ENDS, refusal
from ivr.secret import Secret

_GRANT = Secret("urn:openid:params:grant-type:ciba")
# CIBA Core 7.3 and 11: seconds between two looks where it does not say, and by how many more where that was too often.
_POLL = 5.0
_MORE = 5.0


class Ciba:
    """One broker, asked while the person is on the phone."""

    def __init__(self, broker: OpenId, pings: Pings) -> None:
        """`pings`: who is told of those that come."""
        self._broker = broker
        self._peer = broker.peer
        self._pings = pings

    @classmethod
    def of(cls, settings: Settings, name: str, log: FilteringBoundLogger, pings: Pings | None = None) -> Self:
        """The broker of `[eid.brokers.NAME]`. Raises `ConfigError` for a file that cannot be used."""
        return cls(OpenId.of(settings, name, log), Pings() if pings is None else pings)

    @property
    def name(self) -> str:
        """As the settings have it."""
        return self._broker.name

    @property
    def life(self) -> float:
        """Seconds that an order of its lasts at most."""
        return float(self._broker.rules.life_seconds)

    async def begin(self, asked: EidAsked) -> Order | Ended:
        """Have the person asked. Raises `EidError`."""
        rules, place = self._broker.rules, (await self._broker.document()).backchannel
        if place is None:
            raise self._peer.fault("it does not offer CIBA")
        if asked.who is None or asked.start != "phone":
            raise self._peer.fault("by CIBA somebody must be asked for, on the phone")
        begun = self._broker.clock()
        fields = {
            "scope": Secret(self._broker.scope),
            "login_hint": asked.who.within(rules.login_hint, "{who}"),
            "acr_values": Secret(self._broker.contexts),
            "requested_expiry": Secret(str(rules.life_seconds)),
        }
        if asked.code is not None:
            fields["binding_message"] = asked.code.within(_message(asked.shown, rules.message_most), "{code}")
        expected: Expected | None = None
        if rules.mode == "ping":
            token = fields["client_notification_token"] = Secret.random_token()
            # before it is asked: it may be quicker with a ping than with its answer
            expected = self._pings.expect(self.name, token)
        status, said = await self._broker.asked(place, fields)
        match said:
            case {"auth_req_id": str(order), "expires_in": int(life)} if status == 200 and order and life > 0:
                poll = said.get("interval")
                poll = float(poll) if isinstance(poll, int) and 0 < poll <= rules.life_seconds else _POLL
                if expected is not None:
                    expected.of(Secret(order))
                return Order(
                    Secret(order), asked, begun, float(min(life, rules.life_seconds)), poll,
                    ping=None if expected is None else expected.came,
                )  # fmt: skip
            case {"error": str(error)} if error in CIBA_ENDS:
                return Ended(CIBA_ENDS[error])
            case _:
                raise self._peer.fault(f"it refused ({refusal(said, status)})")

    async def look(self, order: Order) -> Pending | Done | Ended:
        """How far it is. Raises `EidError`, also where the ID token is not all that it must be."""
        document = await self._broker.document()
        status, said = await self._broker.asked(document.token, {"grant_type": _GRANT, "auth_req_id": order.id})
        match said:
            case {"id_token": str(token)} if status == 200:
                return await self._broker.identified(token, order.asked, order.begun)
            case {"error": "authorization_pending"}:
                return Pending("other")
            case {"error": "slow_down"}:
                return Pending("other", order.poll + _MORE)
            case {"error": str(error)} if error in CIBA_ENDS:
                return Ended(CIBA_ENDS[error])
            case _:
                raise self._peer.fault(f"it refused ({refusal(said, status)})")

    async def cancel(self, order: Order) -> bool:
        """False: CIBA has no way to take it back. It ends by itself, and whatever comes of it nobody asks for."""
        del order
        return False

    async def reach(self) -> None:
        """Have its document, and ask for nobody. Raises `EidError` where it does not offer CIBA too, or not as the settings want it."""
        document = await self._broker.document()
        if document.backchannel is None:
            raise self._peer.fault("it does not offer CIBA")
        if self._broker.rules.mode not in document.modes:
            raise self._peer.fault(
                f"it does not offer CIBA by {self._broker.rules.mode}. Set [eid.brokers.{self.name}] mode to one that it offers"
            )

    async def close(self) -> None:
        """End what is open."""
        await self._broker.close()


def _message(shown: str, most: int) -> str:
    """CIBA Core 7.1: short, of plain characters, and the same that the person has elsewhere: the digits, and the rest where there is room for all of it."""
    whole = f"{{code}} {' '.join(shown.split())}"
    return whole if len(whole) - len("{code}") + CODE_DIGITS <= most else "{code}"
