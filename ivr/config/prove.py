"""The settings of how the company proves who it is, during a call."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ivr.config.section import Name, Section

About = Literal["case", "invoice", "payment", "order", "delivery", "appointment", "contract", "account", "security"]
Role = Literal["agent", "supervisor", "administrator", "auditor", "data_owner"]
ON_PAGE = ("bankid", "freja", "totp")
"""Steps by which the person can show on the public page who they are."""

# what stands on one line of a telephone
# the column in which a customer's ids are told apart has room for so much (`ivr.store.partners`)
Partner = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,36}$")]
Words = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\s<>{}](?:[^\n\r\t<>{}]*[^\s<>{}])?$")]


class Prove(Section):
    """How the company proves who it is to the person on the line. Where [page] url is left out, it cannot."""

    ways: tuple[Literal["text", "code", "push", "app", "partner", "mail", "spoken"], ...] = Field(
        ("text", "code"), min_length=1,
        description='How it reaches the person: "text", a text message with a link; "code", one without, with a short code for the '
        'company\'s own site; "push", in a browser that has agreed to it; "app", in the company\'s own app; "partner", in that of another company, such as the person\'s bank; "mail", by e-mail; "spoken", six digits that the agent says, to be keyed on a call to the published number',
    )  # fmt: skip
    published: str | None = Field(
        None, min_length=3, max_length=40, pattern=r"^\+?[0-9][0-9 ()/-]*[0-9]$",
        description='For "spoken": the number that stands on the company\'s letters, cards and site, and leads to [tillit-published] of '
        "the dialplan, as it is to be said",
    )  # fmt: skip
    app: Name | None = Field(
        None,
        description="The company's own app, one of the tables [apps.NAME]: its server is told of a person by the customer number",
    )
    partners: tuple[Partner, ...] = Field(
        (),
        description='For "partner": apps of other companies, each one of the tables [apps.NAME]: its server is told of a person by the id '
        "that is on record, and of several the first one that takes it is told",
    )
    minutes: int = Field(5, ge=1, le=15, description="Minutes until it expires")
    tries: int = Field(3, ge=1, le=5, description="How often the digits may be keyed; then supervisors are told")
    per_customer_hour: int = Field(6, ge=1, le=60, description="To one customer in an hour")
    bar_minutes: int = Field(
        10, ge=1, le=24 * 60,
        description="Minutes without another one to a customer who has said not to be talking with us; supervisors may ask for one all the same",
    )  # fmt: skip
    about: tuple[About, ...] = Field(
        ("case", "invoice", "payment", "order", "delivery", "appointment", "contract", "account", "security"), min_length=1,
        description="What a call may be about: one of these is chosen, and nothing is typed",
    )  # fmt: skip
    hear: Literal["both", "person"] = Field(
        "both", description="Who hears the digits that are spoken into the call: both, or the person alone"
    )
    history_days: int = Field(
        14, ge=0, le=90,
        description="Days for which somebody may ask on the public page whether it was us who called; 0: nothing is kept, and the answer is no text",
    )  # fmt: skip
    back: tuple[Name, ...] = Field(
        (),
        description="By which the person may then show on the public page who they are, in the same call: policies of a single step, "
        "`bankid`, `freja` or `totp`; left out, the page does not ask",
    )
    departments: dict[Name, Words] = Field(
        {}, description='What the teams are called there, as a table: { support = "Customer service" }'
    )
    titles: dict[Role, Words] = Field(
        {}, description='What people are called there by their role, as a table: { agent = "Adviser" }'
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name, chosen in (
            ("ways", self.ways),
            ("partners", self.partners),
            ("about", self.about),
            ("back", self.back),
        ):
            if len(set(chosen)) < len(chosen):
                raise ValueError(f"{name} names one twice. Leave it out")
        if ("spoken" in self.ways) is (self.published is None):
            raise ValueError(
                'published belongs to "spoken". Write both: the number, and "spoken" into ways; or neither'
            )
        if "app" in self.ways and self.app is None:
            raise ValueError('ways has "app", and app is left out. Name one of the tables [apps.NAME]')
        if ("partner" in self.ways) is not bool(self.partners):
            raise ValueError(
                'partners belongs to "partner". Write both: tables of [apps.NAME], and "partner" into ways; or neither'
            )
        if self.app in self.partners:
            raise ValueError("partners names the company's own app. Give the partner a table of its own")
        return self
