"""`resile doctor`: what this machine allows, what follows, and how to allow more."""

import sys

import click

from resile.cli.options import json_option
from resile.cli.output import print_json, print_table
from resile.cli.probes import Finding, Verdict, examine


@click.command()
@json_option
def command(*, as_json: bool) -> None:
    """Tell what this machine allows, what follows from it, and how to allow more.

    Each probe tries the real thing, takes it back, and changes nothing.
    """
    findings = list(examine())
    if as_json:
        print_json({"findings": [finding.as_data() for finding in findings]})
        return
    print_table(
        ("probe", "verdict", "seen"),
        [(finding.name, finding.verdict.value, finding.seen) for finding in findings],
    )
    for finding in findings:
        if finding.verdict is not Verdict.OK:
            _print_advice(finding)


def _print_advice(finding: Finding) -> None:
    print(f"\n{finding.name}: {finding.follows or finding.seen}")
    if finding.fix:
        print(f"  to change it: {finding.fix}")
    sys.stdout.flush()
