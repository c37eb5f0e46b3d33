"""What a user may write into `resile.toml`, and how it is read. The only part of core with pydantic."""

from resile.core.config.checks import CheckSection, LiveCheck, ReadyCheck, SystemCheck
from resile.core.config.load import load_config
from resile.core.config.model import (
    BudgetSection,
    Config,
    HttpSection,
    JournalSection,
    ResileSection,
)
from resile.core.config.schema import config_schema
from resile.core.config.services import (
    GroupSection,
    LimitsSection,
    RestartSection,
    ServiceSection,
    StopSection,
)
from resile.core.config.template import config_template

__all__ = [
    "BudgetSection",
    "CheckSection",
    "Config",
    "GroupSection",
    "HttpSection",
    "JournalSection",
    "LimitsSection",
    "LiveCheck",
    "ReadyCheck",
    "ResileSection",
    "RestartSection",
    "ServiceSection",
    "StopSection",
    "SystemCheck",
    "config_schema",
    "config_template",
    "load_config",
]
