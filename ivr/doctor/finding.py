"""What a check finds, and the kinds of trouble that are known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from ivr.errors import ConfigError


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    ADVICE = "advice"
    """Something to know, or to do one day; or something that could not be looked at."""
    WARNING = "warning"
    """It works, and is not as it should be."""
    FAULT = "fault"
    """Callers cannot be verified, or what they key can be seen by others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `cure` is what to type, line by line; what a person has to do stands behind a #."""

    subject: str
    grade: Grade
    what: str
    why: str = ""
    cure: tuple[str, ...] = ()
    name: str = "ok"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "cure": list(self.cure)}


def ok(subject: str, what: str) -> Finding:
    """Something that was looked at, and is as it should be."""
    return Finding(subject, Grade.OK, what)


@dataclass(frozen=True, slots=True)
class Kind:
    """A trouble that the doctor knows. `says` is the rule that is broken, `why` what comes of it."""

    name: str
    grade: Grade
    says: str
    why: str

    def found(self, subject: str, what: str, *cure: str) -> Finding:
        """This trouble, found here."""
        return Finding(subject, self.grade, _plain(what), self.why, tuple(map(_plain, cure)), self.name)

    def told(self, subject: str, error: ConfigError) -> Finding:
        """This trouble, as the part that stumbled over it tells of it."""
        cure, typed = error.cure.removeprefix("Type: "), error.cure.startswith("Type: ")
        return self.found(
            subject, f"{error.place}: {error.problem}", cure if typed and ". " not in cure else f"# {cure}"
        )


NOT_LOOKED_AT = Kind(
    "not-looked-at", Grade.ADVICE,
    "Something could not be looked at from here",
    "What nobody looks at may be wrong.",
)  # fmt: skip


def _plain(text: str) -> str:
    """Names come from elsewhere, and what a terminal obeys is no name."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def well(findings: list[Finding]) -> bool:
    """Whether nothing is amiss; advice is allowed."""
    return not any(finding.grade in (Grade.WARNING, Grade.FAULT) for finding in findings)
