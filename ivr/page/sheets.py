"""What people are shown, as HTML: each a whole page in itself, of a few kilobytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import web
from markupsafe import escape

from ivr.call.proof import Shown, Stage
from ivr.config import Settings
from ivr.page.brand import Look
from ivr.secret import Secret
from ivr.store.callers import Asked
from ivr.store.opened import Seen
from ivr.web.headers import HEADERS
from ivr.web.words import Words

DIGITS = 6
"""How many are spoken: NIST SP 800-63B-4 3.1.3.2 wants six at least."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("ivr.page", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_YEAR = 365 * 24 * 3600


class Sheets:
    """Makes them. What is filled in is escaped; what is not filled in is an error."""

    def __init__(self, settings: Settings, look: Look) -> None:
        self.look = look
        self._secure = (settings.page.url or "").startswith("https:") or settings.page.tls_key_file is not None
        zone = settings.page.timezone
        self._zone: tzinfo | None = None if zone is None else ZoneInfo(zone)

    def first(self, words: Words, link: Secret) -> web.Response:
        """Before anything is asked for: no name, and two buttons."""
        return self._link_page("first.html", words, words("first.title"), link, {})

    def who(self, words: Words, link: Secret, seen: Seen, fault: str = "") -> web.Response:
        """Who it is, and where to key what is heard; or what is to be keyed on the phone."""
        shown = seen.shown
        title = words("who.title", agent=shown.agent, title=shown.title) if shown.title else shown.agent
        fields = {
            "shown": shown,
            "direction": self._direction(words, shown),
            "check": words(f"who.{_which(shown)}_check"),
            "digits": None if seen.digits is None else escape(seen.digits.reveal()),
            "fault": fault,
        }
        return self._link_page("who.html", words, title, link, fields, status=422 if fault else 200)

    def confirmed(self, words: Words, agent: str) -> web.Response:
        """Whom they talk with: for whoever has keyed the digits of the call, in answer to that alone."""
        return self.told(words, "confirmed", words("confirmed.text", company=self.look.company, agent=agent))

    def over(self, words: Words, link: Secret, seen: Seen, stage: Stage) -> web.Response:
        """What came of it, for whoever has the link: that may be somebody else than the one who was on the call."""
        safe = self._safe(words)
        match stage:
            case Stage.CONFIRMED:
                time, number = self._time(seen.shown), seen.shown.number
                text = words("was.text", time=time, number=number) if number else words("was.text_hidden", time=time)
                return self.told(words, "was", text, (safe,), check=words("was.check"), link=link)
            case Stage.DENIED:
                steps = (words("denied.say"), words("denied.given"), safe)
                return self.told(words, "denied", words("denied.text"), steps)
            case Stage.WRONG:
                hang_up = words("wrong.hang_up")
                return self.told(
                    words, "wrong", words("wrong.text"), (hang_up, safe), check=words("expired.check"), link=link
                )
            case _:
                return self.told(
                    words, "expired", words("expired.text"), (safe,), check=words("expired.check"), link=link
                )

    def caller(
        self, words: Words, link: Secret, asked: Asked, *, passed_on: bool = False, fault: str = ""
    ) -> web.Response:
        """Somebody calls us as this person: where to key what is heard in that call, and to say that it is somebody else."""
        hidden = "" if asked.asking.number else "_hidden"
        at = datetime.fromtimestamp(asked.since, UTC).astimezone(self._zone)
        fields = {
            "direction": words(f"caller.call{hidden}", time=f"{at:%H:%M}", number=asked.asking.number),
            "passed_on": passed_on,
            "fault": fault,
            "place": escape(link.within("/c/-", "-").reveal()),
        }
        return self._page("caller.html", words, words("caller.title"), fields, status=422 if fault else 200)

    def heard(self, words: Words) -> web.Response:
        """Nothing more can be keyed there: the call says what came of it."""
        return self.told(words, "heard", words("heard.text"))

    def not_me(self, words: Words) -> web.Response:
        """Somebody else calls us in this person's name."""
        return self.told(words, "not_me", words("not_me.text"), (words("denied.given"), self._safe(words)))

    def gone(self, words: Words) -> web.Response:
        """A link that nobody has, or had long ago."""
        return self.told(words, "gone", words("gone.text"), (self._safe(words),), status=404)

    def code(self, words: Words, fault: str = "") -> web.Response:
        """Where a short code is keyed."""
        return self._page("code.html", words, words("code.title"), {"fault": fault}, status=422 if fault else 200)

    def check(self, words: Words, fault: str = "") -> web.Response:
        """Where somebody asks whether it was us who called."""
        fields = {"fault": fault, "today": f"{datetime.now(UTC).astimezone(self._zone):%Y-%m-%d}"}
        return self._page("check.html", words, words("check.title"), fields, status=422 if fault else 200)

    def checked(self, words: Words) -> web.Response:
        """The same for everybody: what there is to say goes to the number itself."""
        return self.told(
            words, "checked", words("checked.text"), (words("checked.none"), words("checked.own"), self._safe(words))
        )

    def moment(self, day: str, time: str) -> int | None:
        """Seconds since the epoch of what somebody has chosen; None for what is none."""
        try:
            chosen = datetime.strptime(f"{day} {time[:5]}", "%Y-%m-%d %H:%M")  # noqa: DTZ007 (the zone is told behind it)
            at = chosen.replace(tzinfo=self._zone) if self._zone else chosen.astimezone()
            return int(at.timestamp())
        except (ValueError, OverflowError):
            return None

    def problem(self, words: Words, why: str, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
        """It did not work; `why`: a sentence of [problem]."""
        answer = self.told(words, "problem", words(f"problem.{why}"), (self._safe(words),), status=status)
        answer.headers.update(headers or {})
        return answer

    def told(
        self, words: Words, what: str, text: str, steps: Sequence[str] = (), *, status: int = 200, check: str = "",
        link: Secret | None = None,
    ) -> web.Response:  # fmt: skip
        """A heading, a sentence, and what to do; with a `link`, also the button that denies, behind `check`."""
        title, fields = words(f"{what}.title"), {"text": text, "steps": steps, "check": check}
        if link is None:
            return self._page("told.html", words, title, {**fields, "place": None}, status=status)
        return self._link_page("told.html", words, title, link, fields, status=status)

    def dress(self, answer: web.StreamResponse) -> None:
        """What stands on every answer: no other site frames it, nobody keeps it, and no link tells where it came from."""
        answer.headers.update(HEADERS)
        answer.headers["Content-Security-Policy"] = self.look.policy
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers["Server"] = "page"
        if self._secure:
            answer.headers["Strict-Transport-Security"] = f"max-age={_YEAR}"

    # ------------------------------------------------------------ inside

    def _link_page(
        self, template: str, words: Words, title: str, link: Secret, fields: Mapping[str, object], status: int = 200
    ) -> web.Response:
        return self._page(
            template, words, title, {**fields, "place": escape(link.within("/p/-", "-").reveal())}, status=status
        )

    def _page(
        self, template: str, words: Words, title: str, fields: Mapping[str, object], *, status: int
    ) -> web.Response:
        text = _TEMPLATES.get_template(template).render(
            {
                "words": words,
                "title": title,
                "look": self.look,
                "never": True,
                **fields,
            }
        )
        answer = web.Response(text=text, status=status, content_type="text/html")
        answer.headers["Content-Language"] = words.language
        answer.headers["Vary"] = "Accept-Language"
        return answer

    def _direction(self, words: Words, shown: Shown) -> str:
        """Who has called whom, and when: whoever is called by somebody else sees that it is another call."""
        which = _which(shown) + ("" if shown.number else "_hidden")
        return words(f"who.{which}", time=self._time(shown), number=shown.number)

    def _time(self, shown: Shown) -> str:
        """When the call began."""
        return f"{datetime.fromtimestamp(shown.since, UTC).astimezone(self._zone):%H:%M}"

    def _safe(self, words: Words) -> str:
        return words("page.call_us", phone=self.look.phone) if self.look.phone else words("page.call_known")


def _which(shown: Shown) -> str:
    return "outbound" if shown.outbound else "inbound"
