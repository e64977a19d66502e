"""What people are shown who show each other who they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import segno
from aiohttp import web
from markupsafe import escape

from ivr.config import Persons
from ivr.page.choices import STILL, choices
from ivr.page.sheets import DIGITS, Sheets
from ivr.secret import Personal, Secret
from ivr.store.introduction import Shows, View
from ivr.web.words import Words

# Seconds until a page is asked for anew: of a picture, which is of no use a moment later, and of one that waits for somebody.
_PICTURE, _WAIT = 1, 5
TOLD = frozenset(
    {
        "numbers", "same", "own_number", "other_number", "closed", "many", "barred", "wrong", "stopped", "over", "answered",
        "text", "unavailable", "cancelled", "expired", "failed", "in_progress", "not_able", "elsewhere",
    }
)  # fmt: skip
"""Why it does not go on, as far as it can be told apart: of other ends of a provider it helps nobody which it was."""


class PersonSheets:
    """Makes them, as `Sheets` does."""

    def __init__(self, sheets: Sheets, persons: Persons) -> None:
        self._sheets = sheets
        self._persons = persons

    def first(
        self, words: Words, own: Secret | None = None, other: Secret | None = None, fault: str = ""
    ) -> web.Response:
        """Both numbers, and by what to identify."""
        fields = {
            "buttons": self._buttons(words), "fault": fault,
            "own": escape(own.reveal() if own else ""), "other": escape(other.reveal() if other else ""),
        }  # fmt: skip
        return self._sheets.page(
            "person_first.html", words, words("person.title"), fields, status=422 if fault else 200
        )

    def now(self, words: Words, view: View) -> web.Response:
        """What this browser is shown now."""
        match view.shows:
            case Shows.APP:
                return self._app(words, view)
            case Shows.SITE:
                fields = {"eid": self._label(view), "link": escape(view.link.reveal())}
                return self._sheets.page(
                    "person_site.html", words, words("person_app.title", eid=self._label(view)), fields
                )
            case Shows.MOMENT:
                answer = self._sheets.told(words, "person_moment", words("person_moment.text", eid=self._label(view)))
                renew(answer, _PICTURE)
                return answer
            case Shows.BACK:
                return self._sheets.told(
                    words,
                    "person_back",
                    words("person_back.missing", eid=self._label(view)),
                    (self._sheets.safe(words),),
                )
            case Shows.CODE:
                return self._code(words, view)
            case Shows.WAIT:
                return self._wait(words, view)
            case Shows.MET:
                return self._met(words, view)
            case Shows.DENIED:
                return self._told(words, "person_denied", words("person_denied.asker", number=_shown(view.number)))
            case _:
                return self._refused(words, view)

    def back(self, words: Words, nonce: Secret) -> web.Response:
        """The app has opened this address."""
        fields = {"place": escape(nonce.within("/person/back/-", "-").reveal())}
        return self._sheets.page("person_back.html", words, words("person_back.title"), fields)

    def elsewhere(self, words: Words) -> web.Response:
        """The app has opened it in a browser that has not begun: somebody else may have."""
        safe = self._sheets.safe(words)
        return self._sheets.told(words, "person_elsewhere", words("person_elsewhere.text"), (safe,), status=403)

    def over(self, words: Words) -> web.Response:
        """Nothing is known of it any more."""
        return self._told(words, "person_over", words("person_refused.over"))

    def gone(self, words: Words) -> web.Response:
        """A link that nobody has, or had an hour ago."""
        return self._told(words, "person_over", words("person_refused.over"), status=404)

    # ------------------------------------------------------------ who is asked

    def letter(self, words: Words, link: Secret, view: View) -> web.Response:
        """Before anything is asked for: no name; or that it is over."""
        if view.shows is Shows.DENIED:
            steps = (words("denied.given"), self._sheets.safe(words))
            return self._sheets.told(words, "person_denied", words("person_denied.text"), steps)
        if view.shows is not Shows.LETTER:
            return self._refused(words, view)
        return self._sheets.page("person_letter.html", words, words("person_letter.title"), _place(link))

    def who(self, words: Words, link: Secret, view: View) -> web.Response:
        """Who asks."""
        fields = {
            **_place(link), "eid": self._label(view), "number": _shown(view.number), "own": _shown(view.own),
            "name": escape(view.name.reveal()), "buttons": self._buttons(words),
        }  # fmt: skip
        return self._sheets.page("person_who.html", words, words("person_who.title"), fields)

    # ------------------------------------------------------------ inside

    def _label(self, view: View) -> str:
        return self._persons.label(view.eid)

    def _buttons(self, words: Words) -> Sequence[tuple[str, str]]:
        """What each sends, and says."""
        offered = choices(self._persons)
        return [(start, words(one.words, eid=self._persons.label(one.eid))) for start, one in offered.items()]

    def _app(self, words: Words, view: View) -> web.Response:
        eid = self._label(view)
        drawn = picture(view.qr) if view.qr else ""
        fields = {
            "eid": eid, "picture": drawn, "link": escape(view.link.reveal()), "now": "/person/now", "still": view.eid in STILL,
            "place": "",
        }  # fmt: skip
        answer = self._sheets.page("person_app.html", words, words("person_app.title", eid=eid), fields)
        if view.qr:
            renew(answer, _WAIT if view.eid in STILL else _PICTURE)
        return answer

    def _code(self, words: Words, view: View) -> web.Response:
        left = words("fault.left_one") if view.left == 1 else words("fault.left_many", left=view.left)
        fault = f"{words('person_code.wrong')} {left}" if view.why else ""
        fields = {"number": _shown(view.own), "fault": fault, "digits": DIGITS}
        return self._sheets.page(
            "person_code.html", words, words("person_code.title"), fields, status=422 if fault else 200
        )

    def _wait(self, words: Words, view: View) -> web.Response:
        fields = {"number": _shown(view.number), "until": self._sheets.clock(view.until)}
        answer = self._sheets.page("person_wait.html", words, words("person_wait.title"), fields)
        renew(answer, _WAIT)
        return answer

    def _met(self, words: Words, view: View) -> web.Response:
        fields = {
            "eid": self._label(view), "number": _shown(view.number), "own": _shown(view.own),
            "name": escape(view.name.reveal()),
        }  # fmt: skip
        return self._sheets.page("person_met.html", words, words("person_met.title"), fields)

    def _refused(self, words: Words, view: View) -> web.Response:
        why = view.why if view.why in TOLD else "failed"
        return self._told(words, "person_over", words(f"person_refused.{why}"))

    def _told(self, words: Words, what: str, text: str, status: int = 200) -> web.Response:
        return self._sheets.page("person_over.html", words, words(f"{what}.title"), {"text": text}, status=status)


def _shown(number: Personal) -> str:
    return escape(number.reveal())


def _place(link: Secret) -> Mapping[str, object]:
    return {"place": escape(link.within("/i/-", "-").reveal())}


def picture(qr: Secret) -> str:
    """Of what an app scans, as SVG."""
    # white around it and below, also where the page is dark: else no camera reads it
    return segno.make(qr.reveal(), micro=False, error="l").svg_inline(border=4, omitsize=True, light="#fff")


def renew(answer: web.Response, seconds: int) -> None:
    """A header, and no script: every browser has it."""
    answer.headers["Refresh"] = str(seconds)
