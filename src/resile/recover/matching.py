"""Whether a playbook is for a fault, as far as the two of them alone can tell. Pure."""

from fnmatch import fnmatchcase

from resile.recover.facts import OpenFault
from resile.recover.playbook import Match, Playbook


def misfit(playbook: Playbook, fault: OpenFault) -> str:
    """Tell why a playbook is not for a fault; empty if it is."""
    match = playbook.match
    if fault.kind not in match.faults:
        return f"it is for {', '.join(sorted(match.faults))}, not for {fault.kind}"
    if not any(fnmatchcase(fault.target, pattern) for pattern in match.targets):
        return f"it is for {', '.join(match.targets)}, not for {fault.target}"
    return _unlike(match, fault)


def _unlike(match: Match, fault: OpenFault) -> str:
    evidence = fault.evidence
    if match.signals and evidence.get("signal") not in match.signals:
        return f"it is for an end by {', '.join(sorted(match.signals))}"
    if match.exit_codes and evidence.get("exit_code") not in match.exit_codes:
        return f"it is for exit code {', '.join(map(str, sorted(match.exit_codes)))}"
    if match.is_oom is not None and bool(evidence.get("oom_kills")) is not match.is_oom:
        return f"it is for an end {'for' if match.is_oom else 'that was not for'} want of memory"
    if match.ends and evidence.get("end") not in match.ends:
        return f"it is for an end by {', '.join(sorted(match.ends))}"
    if match.causes and evidence.get("cause") not in match.causes:
        return f"it is for faults with {', '.join(sorted(match.causes))} behind them"
    return ""
