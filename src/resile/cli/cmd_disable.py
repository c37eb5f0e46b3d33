"""`resile disable`: switch a part off for a while."""

from pathlib import Path

import click

from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.switching import find_home, left_of, lines_of, switch
from resile.core.vocabulary import Part

_PARTS = ", ".join(part for part in Part if part is not Part.PLAYBOOK)


@click.command(
    help=f"""Switch each PART off, at once: what resile does of it by itself stands still.

    PART is one of {_PARTS}, or playbook/NAME. It ends by itself, or with `resile enable`. What a
    person asks for by hand is done all the same, but for contained runs and faults on purpose.
    """
)
@click.argument("parts", nargs=-1, required=True, metavar="PART...")
@click.option(
    "--for",
    "for_text",
    default="1h",
    show_default=True,
    metavar="TIME",
    help="It is on again after so long: 10m, 2h, at most 30d.",
)
@click.option("--why", default="", metavar="TEXT", help="For whoever misses it. Required.")
@config_option
@json_option
def command(
    parts: tuple[str, ...], config: Path | None, *, for_text: str, why: str, as_json: bool
) -> None:
    """Switch parts off (the help above says it)."""
    found = switch(find_home(config), parts, is_on=False, for_text=for_text, why=why)
    if as_json:
        print_json(found)
        return
    for off in found["switches"]:
        if off["word"] in parts:
            print(f"{off['word']} is off {left_of(off['until'])}: {off['why']}")
    for line in lines_of(found):
        print(line)
