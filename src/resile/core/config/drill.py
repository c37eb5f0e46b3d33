"""The table `[drill]`: what is sent while something is broken, and what a drill leaves out."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from resile.core.config.base import Count, Name, Section, Url, setting
from resile.core.config.faults import fault, quoted
from resile.core.config.units import DurationIn

_ID = "`{id}` in it is another text each time"


def _header(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise fault(f"{quoted(value)} is no type", hint='write for example "application/json"')
    return value


class DrillBarsSection(Section):
    """Other bars than a scenario's own."""

    detection: Annotated[float, DurationIn("10ms", "1h")] | None = setting(
        None, description="It has to be noticed so soon, 10ms to 1h. Default: the scenario's own."
    )
    recovery: Annotated[float, DurationIn("10ms", "1h")] | None = setting(
        None, description="All has to be well so soon, 10ms to 1h. Default: the scenario's own."
    )


class DrillLoadSection(Section):
    """Requests (`POST`) that are sent during a drill. What is acknowledged has to be there afterwards."""

    url: Url = Field(description="Where they go.")
    service: str = setting("", description="The service that takes them. Default: nobody says.")
    body: str = Field(description=f"What is sent; {_ID}.")
    type: Annotated[str, AfterValidator(_header)] = setting(
        "application/json", description="The type of the body."
    )
    acked: str = setting(
        "",
        description="An answer acknowledges the write if this text is in it. Default: every status "
        "below 300 does.",
    )
    read_back: str = setting(
        "",
        description="A body whose answer holds the id of every write that is there. Default: lost "
        "writes are not counted.",
    )
    clean_up: str = setting(
        "", description="A body that removes what the writes have left. Default: they stay."
    )
    rate: Count = setting(5, ge=1, le=100, description="Requests in a second, 1 to 100.")
    timeout: Annotated[float, DurationIn("10ms", "1m")] = setting(
        "5s", description="An answer that takes longer has failed, 10ms to 1m."
    )

    @field_validator("read_back", mode="after")
    @classmethod
    def _can_be_told_apart(cls, value: str, info: ValidationInfo) -> str:
        if value and "{id}" not in info.data.get("body", "{id}"):
            raise fault("no write can be found again", hint="put {id} into the body")
        return value


class DrillSection(Section):
    """What `resile drill` does, beside what it finds declared."""

    load: DrillLoadSection | None = setting(
        None, description="Requests that are sent meanwhile. Default: none."
    )
    exclude: tuple[str, ...] = setting(
        (),
        description='What is left out: scenarios ("cpu"), targets ("service/db") or cells '
        '("crash:service/db"); `*` stands for anything.',
    )
    scenario: dict[Name, DrillBarsSection] = setting(
        {}, description="Other bars, by scenario: `resile drill --dry-run` lists them."
    )
