"""What people are shown, as HTML: each a whole page in itself, of a few kilobytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from importlib import resources
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import web
from markupsafe import Markup, escape

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
_SCRIPTS = {
    f"/{name}": resources.files("ivr.page").joinpath("static", name).read_text(encoding="utf-8")
    for name in ("push.js", "sw.js")
}
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

    def confirmed(self, words: Words, link: Secret, seen: Seen, once: Secret | None) -> web.Response:
        """Whom they talk with: for whoever has keyed the digits of the call, in answer to that alone.

        With `once`, with which the browser may be made the customer's one time, it is the one page with a script, where the browser may be asked whether it shows messages of ours.
        """
        said = words("confirmed.text", company=self.look.company, agent=seen.shown.agent)
        answer = self._link_page(
            "confirmed.html", words, words("confirmed.title"), link,
            {
                "text": said, "key": seen.shown.push, "once": "" if once is None else escape(once.reveal()),
                **offers(words, seen.shown),
            },
        )  # fmt: skip
        if once is not None:
            answer.headers["Content-Security-Policy"] = f"{self.look.policy}; script-src 'self'; connect-src 'self'"
        return answer

    def script(self, path: str) -> web.Response:
        """One of those by which messages are shown in a browser; the worker is a script of its own, for all of the site."""
        return web.Response(text=_SCRIPTS[path], content_type="text/javascript", charset="utf-8")

    def over(self, words: Words, link: Secret, seen: Seen, stage: Stage) -> web.Response:
        """What came of it, for whoever has the link: that may be somebody else than the one who was on the call."""
        safe = self.safe(words)
        match stage:
            case Stage.CONFIRMED:
                time, number = self.clock(seen.shown.since), seen.shown.number
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
        """Somebody calls us as this person, or was called by us: where to key what is heard in that call, and to say that it is somebody else."""
        which, time = "called" if asked.asking.called else "caller", self.clock(asked.since)
        hidden = "" if asked.asking.number else "_hidden"
        fields = {
            "direction": words("called.call", time=time)
            if asked.asking.called
            else words(f"caller.call{hidden}", time=time, number=asked.asking.number),
            **{name: words(f"{which}.{name}") for name in ("digits", "check", "deny")},
            "passed_on": passed_on,
            "fault": fault,
            "place": escape(link.within("/c/-", "-").reveal()),
        }
        return self.page("caller.html", words, words(f"{which}.title"), fields, status=422 if fault else 200)

    def heard(self, words: Words) -> web.Response:
        """Nothing more can be keyed there: the call says what came of it."""
        return self.told(words, "heard", words("heard.text"))

    def not_me(self, words: Words) -> web.Response:
        """Somebody else calls us in this person's name."""
        return self.told(words, "not_me", words("not_me.text"), (words("denied.given"), self.safe(words)))

    def gone(self, words: Words) -> web.Response:
        """A link that nobody has, or had long ago."""
        return self.told(words, "gone", words("gone.text"), (self.safe(words),), status=404)

    def code(self, words: Words, fault: str = "") -> web.Response:
        """Where a short code is keyed."""
        return self.page("code.html", words, words("code.title"), {"fault": fault}, status=422 if fault else 200)

    def check(self, words: Words, fault: str = "") -> web.Response:
        """Where somebody asks whether it was us who called."""
        fields = {"fault": fault, "today": f"{datetime.now(UTC).astimezone(self._zone):%Y-%m-%d}"}
        return self.page("check.html", words, words("check.title"), fields, status=422 if fault else 200)

    def checked(self, words: Words) -> web.Response:
        """The same for everybody: what there is to say goes to the number itself."""
        return self.told(
            words, "checked", words("checked.text"), (words("checked.none"), words("checked.own"), self.safe(words))
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
        answer = self.told(words, "problem", words(f"problem.{why}"), (self.safe(words),), status=status)
        answer.headers.update(headers or {})
        return answer

    def told(
        self, words: Words, what: str, text: str, steps: Sequence[str] = (), *, status: int = 200, check: str = "",
        link: Secret | None = None,
    ) -> web.Response:  # fmt: skip
        """A heading, a sentence, and what to do; with a `link`, also the button that denies, behind `check`."""
        title, fields = words(f"{what}.title"), {"text": text, "steps": steps, "check": check}
        if link is None:
            return self.page("told.html", words, title, {**fields, "place": None}, status=status)
        return self._link_page("told.html", words, title, link, fields, status=status)

    def dress(self, answer: web.StreamResponse) -> None:
        """What stands on every answer: no other site frames it, nobody keeps it, and no link tells where it came from."""
        policy = answer.headers.get("Content-Security-Policy", self.look.policy)
        answer.headers.update(HEADERS)
        answer.headers["Content-Security-Policy"] = policy
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers["Server"] = "page"
        if self._secure:
            answer.headers["Strict-Transport-Security"] = f"max-age={_YEAR}"

    def page(
        self, template: str, words: Words, title: str, fields: Mapping[str, object], *, status: int = 200
    ) -> web.Response:
        """One of the templates, filled in."""
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

    def safe(self, words: Words) -> str:
        """Whom to ask who is not sure."""
        if not self.look.phone:
            return words("page.call_known")
        # a number that breaks over two lines is hard to dial
        before, after = words("page.call_us", phone="\n").split("\n")
        return escape(before) + Markup("<bdi>") + self.look.phone + Markup("</bdi>") + after

    def clock(self, at: int) -> str:
        """That time of day, where people are."""
        return f"{datetime.fromtimestamp(at, UTC).astimezone(self._zone):%H:%M}"

    # ------------------------------------------------------------ inside

    def _link_page(
        self, template: str, words: Words, title: str, link: Secret, fields: Mapping[str, object], status: int = 200
    ) -> web.Response:
        return self.page(
            template, words, title, {**fields, "place": escape(link.within("/p/-", "-").reveal())}, status=status
        )

    def _direction(self, words: Words, shown: Shown) -> str:
        """Who has called whom, and when: whoever is called by somebody else sees that it is another call."""
        which = _which(shown) + ("" if shown.number else "_hidden")
        return words(f"who.{which}", time=self.clock(shown.since), number=shown.number)


def offers(words: Words, shown: Shown) -> Mapping[str, object]:
    """By what the person may show who they are, and to whom."""
    named = {
        "bankid": (
            ("here", words("person.here", eid="BankID")),
            ("other", words("person.elsewhere", eid="BankID")),
        ),
        "freja": (("", words("back.freja")),),
        "totp": (("", words("back.totp")),),
    }
    return {
        "agent": shown.agent, "offers": [(f"{step}/{start}", told) for step in shown.back for start, told in named.get(step, ())],
    }  # fmt: skip


def _which(shown: Shown) -> str:
    return "outbound" if shown.outbound else "inbound"
