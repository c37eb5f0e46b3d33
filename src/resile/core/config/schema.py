"""The JSON Schema of `resile.toml`, for editors and for the reference page."""

from typing import Any

from resile.core.config.checks import KINDS
from resile.core.config.model import Config

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """Describe every table and key: type, range, default, meaning.

    Settings with a unit carry `x-unit` and `x-range`; their values are text such as "10s".
    """
    schema = Config.model_json_schema(mode="validation")
    for name, table in (*schema["$defs"].items(), ("", schema)):
        table.pop("title", None)
        if name.endswith("Check"):
            kinds = [kind for kind in KINDS if kind in table["properties"]]
            table["oneOf"] = [{"required": [kind]} for kind in kinds]
        for setting in table["properties"].values():
            setting.pop("title", None)
            _without_null(setting)
    return {"$schema": _DIALECT, **schema, "title": "resile.toml"}


def _without_null(setting: dict[str, Any]) -> None:
    """TOML has no null: a setting that is not set is left out."""
    choices = [choice for choice in setting.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del setting["anyOf"]
        setting.update(choices[0] | {key: setting[key] for key in setting if key != "default"})
    if setting.get("default", ...) is None:
        del setting["default"]
