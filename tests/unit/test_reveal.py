"""Where a secret's text may be taken out, and how: in these files, inside of the call that needs it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_REVEAL = {
    "ivr/asterisk/ami.py",
    "ivr/asterisk/announcing.py",
    "ivr/asterisk/ari.py",
    "ivr/asterisk/dialling.py",
    "ivr/asterisk/leg.py",
    "ivr/asterisk/line.py",
    "ivr/asterisk/reconcile.py",
    "ivr/asterisk/switch.py",
    "ivr/backup/sealed.py",
    "ivr/cli/agent.py",
    "ivr/cli/backup.py",
    "ivr/cli/customer.py",
    "ivr/cli/fields.py",
    "ivr/cli/initialise.py",
    "ivr/cli/person.py",
    "ivr/cli/personal.py",
    "ivr/cli/totp.py",
    "ivr/database/url.py",
    "ivr/eid/bankid.py",
    "ivr/eid/code.py",
    "ivr/eid/freja.py",
    "ivr/eid/openid.py",
    "ivr/eid/ping.py",
    "ivr/hooks/receiver.py",
    "ivr/lock/actions.py",
    "ivr/lock/carrypush.py",
    "ivr/lock/course.py",
    "ivr/lock/peering.py",
    "ivr/numbers.py",
    "ivr/oidc/provider.py",
    "ivr/mail/smtp.py",
    "ivr/peers/keys.py",
    "ivr/peers/letter.py",
    "ivr/persons/asking.py",
    "ivr/persons/backing.py",
    "ivr/persons/letters.py",
    "ivr/persons/progress.py",
    "ivr/persons/service.py",
    "ivr/page/back_sheets.py",
    "ivr/page/back_visit.py",
    "ivr/page/person_sheets.py",
    "ivr/page/person_visit.py",
    "ivr/page/sheets.py",
    "ivr/page/visit.py",
    "ivr/proxy/entering.py",
    "ivr/push/app.py",
    "ivr/push/web.py",
    "ivr/secret.py",
    "ivr/outward/client.py",
    "ivr/outward/webhook.py",
    "ivr/sms/http.py",
    "ivr/sms/length.py",
    "ivr/sms/outbox.py",
    "ivr/sms/reporting.py",
    "ivr/sms/reports.py",
    "ivr/sms/smpp_wire.py",
    "ivr/sms/vonage.py",
    "ivr/store/callers.py",
    "ivr/store/elements.py",
    "ivr/store/handovers.py",
    "ivr/store/introduction.py",
    "ivr/store/notices.py",
    "ivr/store/opened.py",
    "ivr/store/pagekey.py",
    "ivr/store/pageparts.py",
    "ivr/store/history.py",
    "ivr/lock/checking.py",
    "ivr/store/pool.py",
    "ivr/store/pushes.py",
    "ivr/store/posted.py",
    "ivr/store/roster.py",
    "ivr/store/sessions.py",
    "ivr/vault/codes.py",
    "ivr/vault/envelope.py",
    "ivr/vault/index.py",
    "ivr/vault/keys.py",
    "ivr/vault/password.py",
    "ivr/vault/pin.py",
    "ivr/vault/totp.py",
    "ivr/web/api.py",
    "ivr/web/element.py",
    "ivr/web/crossing.py",
    "ivr/web/guard.py",
    "ivr/web/models.py",
    "ivr/web/pages.py",
    "ivr/web/proofmodels.py",
    "ivr/web/proofview.py",
    "ivr/web/peermodels.py",
    "ivr/web/render.py",
    "ivr/web/staff.py",
    "ivr/web/view.py",
}

SECRET = "ivr/secret.py"


def sources() -> list[Path]:
    return [ROOT / "ari_app.py", *sorted((ROOT / "ivr").rglob("*.py"))]


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


class Reveals(ast.NodeVisitor):
    """The places that take a text out, and what is wrong with them."""

    def __init__(self, *, at_home: bool) -> None:
        self.found: list[int] = []
        self.faults: list[str] = []
        self._at_home = at_home
        self._around: list[ast.AST] = []

    def visit(self, node: ast.AST) -> None:
        self._around.append(node)
        super().visit(node)
        self._around.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr == "reveal":
            self.found.append(node.lineno)
            parent = self._around[-2]
            if not (isinstance(parent, ast.Call) and parent.func is node):
                self._fault(node, "is passed on instead of called")
            elif not self._used_at_once():
                self._fault(node, "is not inside of the arguments of a call")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if node.value in ("reveal", "_Secret__text"):
            self._fault(node, "names it in a text")

    def _used_at_once(self) -> bool:
        """Whether, going outwards from the call of `reveal`, arguments of a call come before anything that keeps it."""
        inner: ast.AST = self._around[-2]
        for outer in reversed(self._around[:-2]):
            match outer:
                case ast.Call() if inner is not outer.func:
                    return True
                case (
                    ast.NamedExpr() | ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.comprehension()
                ):
                    return self._at_home
                case ast.Return() | ast.Lambda():
                    return self._at_home
                case ast.stmt():
                    return False
                case _:
                    pass
            inner = outer
        return False

    def _fault(self, node: ast.expr, what: str) -> None:
        self.faults.append(f"line {node.lineno}: reveal {what}")


def reveals(text: str, *, at_home: bool = False) -> Reveals:
    visitor = Reveals(at_home=at_home)
    visitor.visit(ast.parse(text))
    return visitor


def test_only_these_files_reveal() -> None:
    revealing = {named(file) for file in sources() if reveals(file.read_text(encoding="utf-8"), at_home=True).found}
    assert revealing - MAY_REVEAL == set(), "a new place that takes secrets out; is it an adapter that needs to?"
    assert MAY_REVEAL - revealing == set(), "this list is longer than it needs to be"


def test_the_heart_reveals_nothing() -> None:
    assert not [file for file in MAY_REVEAL if file.startswith(("ivr/call/", "ivr/prompts/", "ivr/audit/"))]


@pytest.mark.parametrize("file", sorted(MAY_REVEAL - {SECRET}))
def test_what_is_revealed_goes_straight_into_the_call_that_needs_it(file: str) -> None:
    assert reveals((ROOT / file).read_text(encoding="utf-8")).faults == []


def test_nobody_reaches_the_text_by_another_way() -> None:
    for file in sources():
        if named(file) != SECRET:
            assert "__text" not in file.read_text(encoding="utf-8"), named(file)
            assert not [fault for fault in reveals(file.read_text(encoding="utf-8")).faults if "names it" in fault]


# ---------------------------------------------------------------- the rule itself


@pytest.mark.parametrize(
    "text",
    [
        "f(a.reveal())",
        "f(x=a.reveal() if a else None)",
        'f(f"{u}:{a.reveal()}".encode())',
        "x = mac(key, a.reveal().encode()).hexdigest()",
        "return_ = f({'to': a.reveal()})",
        "if digits(a.reveal()): pass",
        "return_ = [f(p.reveal()) for p in ps]",
    ],
)
def test_what_the_rule_allows(text: str) -> None:
    assert reveals(text).faults == []
    assert len(reveals(text).found) == 1


@pytest.mark.parametrize(
    "text",
    [
        "x = a.reveal()",
        "x: str = a.reveal()",
        "x = a.reveal().strip()",
        'x = f"{a.reveal()}"',
        "x += a.reveal()",
        "f(x := a.reveal())",
        "x = [p.reveal() for p in ps]",
        "f([q for q in a.reveal()])",
        "for q in a.reveal(): pass",
        "def f(): return a.reveal()",
        "f(lambda: a.reveal())",
        "with a.reveal() as x: pass",
        "f(a.reveal)",
        "x = a.reveal",
        "map(Secret.reveal, ps)",
        "getattr(a, 'reveal')()",
        "a._Secret__text if 0 else getattr(a, '_Secret__text')",
        "if a.reveal() == b: pass",
        "a.reveal().f()",
    ],
)
def test_what_the_rule_forbids(text: str) -> None:
    assert reveals(text).faults != []


def test_only_the_secret_itself_may_keep_or_return_its_text() -> None:
    text = "def f(self):\n    words = self.reveal().split()\n    return self.reveal()"
    assert reveals(text, at_home=True).faults == []
    assert len(reveals(text).faults) == 2
