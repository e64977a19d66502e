"""What people are shown who were shown who the company is, and show who they are."""

from __future__ import annotations

from aiohttp import web
from markupsafe import escape

from ivr.page.person_sheets import picture, renew
from ivr.page.sheets import DIGITS, Sheets, offers
from ivr.secret import Secret
from ivr.store.introduction import Shows, View
from ivr.store.opened import Seen
from ivr.web.words import Words

LABELS = {"bankid": "BankID", "freja": "Freja"}

# Seconds until a page is asked for anew: of a picture, which is of no use a moment later, and of one that waits for the app.
_PICTURE, _WAIT = 1, 3
TOLD = frozenset({"over", "many", "wrong", "unavailable", "cancelled", "expired", "in_progress", "elsewhere"})
"""Why it does not go on, as far as it is told."""
# Behind these it cannot be begun anew.
_LAST = frozenset({"over", "many", "wrong"})


class BackSheets:
    """Makes them, as `Sheets` does."""

    def __init__(self, sheets: Sheets) -> None:
        self._sheets = sheets

    def offered(self, words: Words, link: Secret, seen: Seen) -> web.Response:
        """Whom they talk with, and by what they may show who they are."""
        return self._sheets.confirmed(words, link, seen, None)

    def now(self, words: Words, link: Secret, seen: Seen, view: View, fault: str = "") -> web.Response:
        """What this browser is shown now."""
        eid = LABELS.get(view.eid, "")
        match view.shows:
            case Shows.APP:
                return self._app(words, link, view, eid)
            case Shows.ASKED:
                return self._waiting(words, "back_asked", words("back_asked.text", eid=eid), _WAIT, link)
            case Shows.MOMENT:
                return self._waiting(words, "person_moment", words("person_moment.text", eid=eid), _PICTURE, link)
            case Shows.BACK:
                missing = words("person_back.missing", eid=eid)
                safe = self._sheets.safe(words)
                return self._sheets.told(
                    words, "person_back", missing, (safe,), check=words("expired.check"), link=link
                )
            case Shows.TOTP:
                return self._totp(words, link, view, fault)
            case Shows.KNOWN:
                title = words("back_known.title", agent=seen.shown.agent)
                fields = {
                    "text": words("back_known.text"),
                    "steps": (),
                    "check": words("expired.check"),
                    "place": _of(link),
                }
                return self._sheets.page("told.html", words, title, fields)
            case _:
                return self._refused(words, link, seen, view)

    def app(self, words: Words, link: Secret, nonce: Secret) -> web.Response:
        """The app has opened this address."""
        place = escape(nonce.within(link.within("/p/-/me/app/*", "-").reveal(), "*").reveal())
        return self._sheets.page("person_back.html", words, words("person_back.title"), {"place": place})

    def elsewhere(self, words: Words) -> web.Response:
        """The app has opened it in a browser that has not begun: somebody else may have."""
        safe = self._sheets.safe(words)
        return self._sheets.told(words, "person_elsewhere", words("person_elsewhere.text"), (safe,), status=403)

    def over(self, words: Words, link: Secret, seen: Seen) -> web.Response:
        """For whoever has the link, and has not keyed the digits."""
        if seen.stage.is_end:
            return self._sheets.over(words, link, seen, seen.stage)
        return self._sheets.first(words, link)

    def gone(self, words: Words) -> web.Response:
        """A link that nobody has, or had long ago."""
        return self._sheets.gone(words)

    # ------------------------------------------------------------ inside

    def _app(self, words: Words, link: Secret, view: View, eid: str) -> web.Response:
        fields = {
            "eid": eid, "picture": picture(view.qr) if view.qr else "", "link": escape(view.link.reveal()), "now": _place(link),
            "still": False, "place": _of(link),
        }  # fmt: skip
        answer = self._sheets.page("person_app.html", words, words("person_app.title", eid=eid), fields)
        if view.qr:
            renew(answer, _PICTURE)
        return answer

    def _refused(self, words: Words, link: Secret, seen: Seen, view: View) -> web.Response:
        why = view.why if view.why in TOLD else "failed"
        fields = {
            "text": words(f"back_refused.{why}", agent=seen.shown.agent), "place": _of(link),
            **({"offers": ()} if why in _LAST else offers(words, seen.shown)),
        }  # fmt: skip
        return self._sheets.page("back_refused.html", words, words("back_refused.title"), fields)

    def _totp(self, words: Words, link: Secret, view: View, fault: str) -> web.Response:
        if view.why and not fault:
            left = words("fault.left_one") if view.left == 1 else words("fault.left_many", left=view.left)
            fault = f"{words('back_totp.wrong')} {left}"
        fields = {"place": _of(link), "digits": DIGITS, "fault": fault}
        status = 422 if fault else 200
        return self._sheets.page("back_totp.html", words, words("back_totp.title"), fields, status=status)

    def _waiting(self, words: Words, what: str, text: str, seconds: int, link: Secret) -> web.Response:
        answer = self._sheets.told(words, what, text, check=words("expired.check"), link=link)
        renew(answer, seconds)
        return answer


def _place(link: Secret) -> str:
    return escape(link.within("/p/-/me", "-").reveal())


def _of(link: Secret) -> str:
    return escape(link.within("/p/-", "-").reveal())
