"""Break things on purpose, prove that they broke, and take it back, whoever dies meanwhile.

Nothing is loaded before a name is first used: the small processes beside an engine need little of it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.chaos.arguments import Kind, Parameter, read_arguments
    from resile.chaos.catalogue import FAULTS, find_fault, preflight
    from resile.chaos.engine import Engine, Parts
    from resile.chaos.experiments.loading import load_experiment
    from resile.chaos.experiments.model import (
        Activity,
        Experiment,
        HttpCall,
        Injection,
        Pause,
        Probe,
        ProcessCall,
        PythonCall,
        ServiceCall,
        Settle,
        Tolerance,
        ToleranceKind,
        Variables,
    )
    from resile.chaos.experiments.report import FaultReport, Report, StepReport
    from resile.chaos.hosting import open_host
    from resile.chaos.injecting import Injector
    from resile.chaos.ledger import Ledger
    from resile.chaos.model import (
        Ability,
        EndedBy,
        Ending,
        Privilege,
        Proof,
        TargetKind,
        UndoRecord,
        Wish,
    )
    from resile.chaos.port import Fault, Host, Service, System
    from resile.chaos.story import Story
    from resile.chaos.undoing import take_back, undo
    from resile.chaos.watching import watch_again

__all__ = [
    "FAULTS",
    "Ability",
    "Activity",
    "EndedBy",
    "Ending",
    "Engine",
    "Experiment",
    "Fault",
    "FaultReport",
    "Host",
    "HttpCall",
    "Injection",
    "Injector",
    "Kind",
    "Ledger",
    "Parameter",
    "Parts",
    "Pause",
    "Privilege",
    "Probe",
    "ProcessCall",
    "Proof",
    "PythonCall",
    "Report",
    "Service",
    "ServiceCall",
    "Settle",
    "StepReport",
    "Story",
    "System",
    "TargetKind",
    "Tolerance",
    "ToleranceKind",
    "UndoRecord",
    "Variables",
    "Wish",
    "find_fault",
    "load_experiment",
    "open_host",
    "preflight",
    "read_arguments",
    "take_back",
    "undo",
    "watch_again",
]


def __getattr__(name: str) -> object:
    from resile.chaos._homes import HOMES
    from resile.core.lazy import load

    return load(__name__, name, HOMES)
