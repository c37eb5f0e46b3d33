"""Recovery: from what is seen to what is done about it, as a pure fold and a pure decision."""

from resile.recover.decide import decide
from resile.recover.facts import (
    CheckStatus,
    InFlight,
    Maintenance,
    OpenFault,
    OpenPlan,
    ServiceStatus,
)
from resile.recover.findings import (
    Finding,
    Stage,
    come_to_rest,
    made_id,
    prediction_detail,
    trouble_id,
)
from resile.recover.graph import Graph
from resile.recover.maintenance import check_state_of
from resile.recover.model import (
    MACHINE_TARGET,
    BudgetSpec,
    CheckBinding,
    Decision,
    GroupSpec,
    RestartPolicy,
    RestartSpec,
    ServiceSpec,
    Strategy,
    SystemSpec,
    check_target,
    service_of,
    service_target,
)
from resile.recover.state import state_of
from resile.recover.wanted import asked_of, is_early, may_end_well
from resile.recover.world import World

__all__ = [
    "MACHINE_TARGET",
    "BudgetSpec",
    "CheckBinding",
    "CheckStatus",
    "Decision",
    "Finding",
    "Graph",
    "GroupSpec",
    "InFlight",
    "Maintenance",
    "OpenFault",
    "OpenPlan",
    "RestartPolicy",
    "RestartSpec",
    "ServiceSpec",
    "ServiceStatus",
    "Stage",
    "Strategy",
    "SystemSpec",
    "World",
    "asked_of",
    "check_state_of",
    "check_target",
    "come_to_rest",
    "decide",
    "is_early",
    "made_id",
    "may_end_well",
    "prediction_detail",
    "service_of",
    "service_target",
    "state_of",
    "trouble_id",
]
