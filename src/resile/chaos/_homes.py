"""Where the names are that `resile.chaos` loads when they are first used."""

from typing import Final

HOMES: Final = {
    "arguments": ("Kind", "Parameter", "read_arguments"),
    "catalogue": ("FAULTS", "find_fault", "preflight"),
    "engine": ("Engine", "Parts"),
    "experiments.loading": ("load_experiment",),
    "experiments.model": (
        "Activity",
        "Experiment",
        "HttpCall",
        "Injection",
        "Pause",
        "Probe",
        "ProcessCall",
        "PythonCall",
        "ServiceCall",
        "Settle",
        "Tolerance",
        "ToleranceKind",
        "Variables",
    ),
    "experiments.report": ("FaultReport", "Report", "StepReport"),
    "hosting": ("open_host",),
    "injecting": ("Injector",),
    "ledger": ("Ledger",),
    "model": (
        "Ability",
        "EndedBy",
        "Ending",
        "Privilege",
        "Proof",
        "TargetKind",
        "UndoRecord",
        "Wish",
    ),
    "port": ("Fault", "Host", "Service", "System"),
    "story": ("Story",),
    "undoing": ("take_back", "undo"),
    "watching": ("watch_again",),
}
