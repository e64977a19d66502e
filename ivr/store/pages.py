"""Proofs that wait for their answer, as desk and worker keep them in Redis.

Each has two parts. What the public page may know lies under P:page:, which is all that the page's own user at Redis reaches:
how far it is, what is shown (encrypted) and the keyed hash of the digits. Who is proved to whom, and on which channel, lies
where that user cannot look; of the way `spoken` also how far it is. It is found by its link, its code, its call or its customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from ivr.call.outcome import Budget
from ivr.call.ports import Closed, TooMany
from ivr.call.proof import Keyed, Proof, Stage, Way
from ivr.config import Limits
from ivr.errors import StoreError
from ivr.numbers import Range
from ivr.secret import Secret
from ivr.store.answered import Confirmed, Over, Wrong, keyed, strange
from ivr.store.deskparts import call_key, desks_key, due_key, lent_key, stage_in, unreadable, written
from ivr.store.link import Link, Script
from ivr.store.pagekey import PageKey
from ivr.store.pageparts import ended_key, named, news_key, page_key, read_shown
from ivr.store.turn import Turn

_OPEN = Script("clock", "budget", "proof", "open_proof")
_STAGE = Script("clock", "proof", "lend", "stage_proof")
_DUE = Script("clock", "proof", "lend", "take_due")
_TYPED = Script("clock", "typed")
_KEY = Script("clock", "proof", "by_name", "visited", "key_page")

SCRIPTS = (_OPEN, _STAGE, _DUE, _TYPED, _KEY)

KEPT = 15 * 60
"""Seconds that a proof is known behind its end: whoever opens the link then is told what came of it."""

# How many one desk takes at a time.
_MANY = 100
# How many a desk that comes looks through: more wait nowhere.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class ProofRules:
    """How often digits may be keyed, how many proofs go to one customer in an hour, and how long none goes to one who has denied, in seconds.

    How many customer numbers may be typed during a call, and by a person in an hour: one, and one more for a slip, on many a call.
    In how many seconds a desk has told of an end that it was given; else another one is given it: longer than a request to the trail takes.
    """

    tries: int = 3
    per_customer_hour: int = 6
    barred: int = 600
    typed_on_call: int = 2
    typed_in_hour: int = 12
    told_within: float = 30.0


@dataclass(frozen=True, slots=True)
class Kept:
    """It waits for its answer, and its message may be sent."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Another waits already, on this call or with this customer: its `id`."""

    id: str


@dataclass(frozen=True, slots=True)
class Barred:
    """The customer has said a while ago not to be talking with us: nothing more is sent for now."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something has come to its end, and what stands for it cannot be read."""

    id: str


class Pages:
    """Every method is one round trip, or two where it says so, and raises `StoreError`. Proofs end by Redis's clock."""

    def __init__(
        self, link: Link, prefix: str, key: PageKey, rules: ProofRules | None = None, limits: Limits | None = None
    ) -> None:
        """`limits`: the budgets of texts, which proofs share with codes."""
        self._link = link
        self._prefix = prefix
        self._key = key
        self._rules = rules or ProofRules()
        limits = limits or Limits()
        self._budgets = limits.texts_per_hour, limits.texts_country_per_hour, limits.texts_prefix_per_hour

    async def open(
        self, proof: Proof, *, digits: Secret, link: Secret | None = None, code: Secret | None = None,
        range: Range | None = None, parts: int = 1, barred: bool = True,
    ) -> Kept | Pending | TooMany | Barred | Closed:  # fmt: skip
        """Keep one that begins. `range`: where a text goes to, and its `parts` are counted; None where none goes.

        `digits`: what is spoken into the call, or shown on the page; they count for this proof alone. `barred`: whether a denial
        of a while ago holds. Raises `StoreError` also where the `code` is another's.
        """
        country, prefix = (range.country, range.prefix) if range else ("", "")
        sealed = self._sealed(proof)
        keys = [
            page_key(self._prefix, proof.id), desks_key(self._prefix, proof.id), call_key(self._prefix, proof.node, proof.channel),
            due_key(self._prefix), f"{self._prefix}:budget:all", f"{self._prefix}:budget:country:{country}",
            f"{self._prefix}:budget:prefix:{prefix}", f"{self._prefix}:proof:of:{proof.subject}",
            f"{self._bars}{proof.subject}", f"{self._prefix}:proof:times:{proof.subject}",
            *(named(self._prefix, self._key, kind, text) for kind, text in (("link", link), ("code", code)) if text),
        ]  # fmt: skip
        answer = await self._link.run(
            _OPEN, keys,
            proof.id, proof.until, KEPT * 1000, proof.keyed, sealed, self._key.mac("digits", digits, proof.id),
            self._key.seal("digits", digits, proof.id) if proof.keyed is Keyed.PHONE else "",
            self._rules.tries, written(proof, sealed), proof.subject, self._rules.per_customer_hour, *self._budgets,
            int(range is not None), int(not barred), page_key(self._prefix, ""), int(bool(link)), int(bool(code)),
            parts, desks_key(self._prefix, ""), int(proof.way is Way.SPOKEN),
        )  # fmt: skip
        match answer:
            case [b"kept"]:
                return Kept()
            case [b"pending", bytes(id)]:
                return Pending(id.decode())
            case [b"barred"]:
                return Barred()
            case [b"many"]:
                return TooMany()
            case [b"closed", bytes(scope), int(first)]:
                return Closed(Budget(scope.decode()), first == 1)
            case [b"late"]:
                raise StoreError("Redis: the proof has expired already; compare the clocks of the two machines")
            case [b"another"]:
                raise StoreError("Redis: another proof has this code; make a new one")
            case _:
                raise strange(_OPEN)

    async def typed(self, person: str, node: str, channel: str) -> bool:
        """Count that a person (`TENANT:ID`) types a customer number during a call; False where that is one too many."""
        keys = [f"{self._prefix}:proof:typed:call:{node}:{channel}", f"{self._prefix}:proof:typed:by:{person}"]
        match await self._link.run(_TYPED, keys, self._rules.typed_on_call, self._rules.typed_in_hour):
            case [b"counted"]:
                return True
            case [b"many"]:
                return False
            case _:
                raise strange(_TYPED)

    async def stage(self, id: str, then: Stage) -> bool:
        """Take it so far; False where that was not forward, or it is not known. Two round trips."""
        proof = await self.of(id)
        if proof is None:
            return False
        answer = await self._link.run(
            _STAGE, [page_key(self._prefix, id), due_key(self._prefix), f"{self._bars}{proof.subject}", lent_key(self._prefix), desks_key(self._prefix, id)],
            id, then, news_key(self._prefix), self._rules.barred * 1000, int(bool(proof.subject)), self._lease,
        )  # fmt: skip
        match answer:
            case [b"moved"]:
                return True
            case [b"not"]:
                return False
            case _:
                raise strange(_STAGE)

    async def end(self, id: str, why: Stage) -> bool:
        """The same for an end: who gets True tells of it, and nobody finds it among those that are `due` unless that one is not `settled` in time."""
        if not why.is_end:
            raise ValueError("is no end")
        return await self.stage(id, why)

    async def key(self, id: str, digits: Secret) -> Confirmed | Wrong | Over | None:
        """Digits that were keyed on the phone: count, compare and consume in one step. None where it is known no longer.

        What comes of it is told as of those that are keyed on the page.
        """
        answer = await self._link.run(
            _KEY, [page_key(self._prefix, id), ended_key(self._prefix)],
            page_key(self._prefix, ""), news_key(self._prefix), id, self._key.mac("digits", digits, id),
        )  # fmt: skip
        return keyed(_KEY, answer)

    async def mine(self, id: str, what: Stage) -> bool:
        """Whether nobody else has asked this: of all desks one does what this stage calls for."""
        key = f"{self._prefix}:proof:mine:{what}:{id}"
        return await self._link.ask("SET", key, "1", "NX", "PX", 2 * KEPT * 1000) is not None

    def turn(self, id: str, *, seconds: float) -> Turn:
        """Whose turn it is to do what lasts, such as to listen: of all desks that try, the one that renews it in these seconds."""
        return Turn(self._link, self._prefix, f"proof:{id}", seconds=seconds)

    async def waiting(self) -> Sequence[str]:
        """Those that wait for their answer, by their identifiers: the first ones to end, where they are many."""
        found = await self._link.ask("ZRANGE", due_key(self._prefix), 0, _MOST - 1)
        return [one.decode() for one in found if isinstance(one, bytes)] if isinstance(found, list) else []

    async def of(self, id: str) -> Proof | None:
        """The one with this identifier, as far as it has come; None where it is known no longer. Two round trips."""
        match await self._link.ask("HMGET", desks_key(self._prefix, id), "proof", "stage"):
            case [bytes(text), bytes(stage)]:
                return self._read(text, stage)
            case [bytes(text), None]:
                of_page = await self._link.ask("HGET", page_key(self._prefix, id), "stage")
                return self._read(text, of_page) if isinstance(of_page, bytes) else None
            case _:
                return None

    async def answered_by(self, id: str) -> str:
        """The browser that has keyed the digits, as the page says; empty where there is none, or the proof is not good any more. Two round trips."""
        if await self._link.ask("HGET", desks_key(self._prefix, id), "late") is not None:
            return ""
        match await self._link.ask("HMGET", page_key(self._prefix, id), "stage", "late", "back"):
            case [b"confirmed", None, bytes(browser)]:
                return browser.decode(errors="replace")
            case _:
                return ""

    async def denied(self, id: str) -> bool:
        """Whether the person has denied it, also behind another end. Two round trips."""
        for key in (desks_key(self._prefix, id), page_key(self._prefix, id)):
            if await self._link.ask("HGET", key, "late") is not None:
                return True
        return False

    async def by_link(self, link: Secret) -> Proof | None:
        """The one to which a link with this end leads. Three round trips."""
        match await self._link.ask("GET", named(self._prefix, self._key, "link", link)):
            case bytes(id):
                return await self.of(id.decode())
            case _:
                return None

    async def of_call(self, node: str, channel: str) -> Proof | None:
        """The latest one of this call. Three round trips."""
        match await self._link.ask("GET", call_key(self._prefix, node, channel)):
            case bytes(id):
                return await self.of(id.decode())
            case _:
                return None

    async def due(self) -> Sequence[Proof | Unreadable]:
        """Those that have come to an end on the page, or have expired. They are taken: no other desk gets them.

        Whatever is not `settled` in time comes here again: the desk that had it has died.

        One that is denied behind another end comes once more, as denied.
        What the page says is not the last word: a proof that it never tells of comes here when it expires.
        """
        answer = await self._link.run(
            _DUE, [due_key(self._prefix), ended_key(self._prefix), lent_key(self._prefix)],
            page_key(self._prefix, ""), desks_key(self._prefix, ""), self._bars, self._rules.barred * 1000, _MANY, news_key(self._prefix), self._lease,
        )  # fmt: skip
        match answer:
            case [b"due", *rest]:
                return [self._taken(*one) for one in zip(rest[::3], rest[1::3], rest[2::3], strict=True)]
            case _:
                raise strange(_DUE)

    async def settled(self, proof: Proof) -> None:
        """All is told of this end that is to be told."""
        await self._link.ask("ZREM", lent_key(self._prefix), f"{proof.stage} {proof.id}")

    # ------------------------------------------------------------ inside

    def _sealed(self, proof: Proof) -> str:
        text = orjson.dumps(asdict(proof.shown)).decode()
        return self._key.seal("shown", Secret(text), proof.id)

    def _taken(self, id: object, text: object, stage: object) -> Proof | Unreadable:
        try:
            return self._read(text, stage)
        except StoreError:
            return Unreadable(id.decode(errors="replace") if isinstance(id, bytes) else "")

    def _read(self, text: object, stage: object) -> Proof:
        if not (isinstance(text, bytes) and isinstance(stage, bytes)):
            raise unreadable()
        try:
            found = orjson.loads(text)
            found["shown"] = read_shown(self._key, found["shown"], found["id"])
            found["way"], found["keyed"] = Way(found["way"]), Keyed(found["keyed"])
            return Proof(**found, stage=stage_in(stage))
        except (ValueError, TypeError, KeyError):
            raise unreadable() from None

    @property
    def _lease(self) -> int:
        return round(self._rules.told_within * 1000)

    @property
    def _bars(self) -> str:
        return f"{self._prefix}:proof:barred:"
