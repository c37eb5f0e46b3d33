"""What a person means by a target: the name of a service or of a check, or the whole of it."""

from resile.cli.api import Api
from resile.errors import ConfigError


def full_target(api: Api, name: str) -> str:
    """Give `service/NAME` or `check/ID`.

    Raises:
        ConfigError: If nothing that is declared is called so.
    """
    status = api.get("/api/status")
    kinds = {check["id"]: "check" for check in status["checks"]}
    kinds |= {service["name"]: "service" for service in status["services"]}
    kind, _, plain = name.partition("/")
    if plain and kinds.get(plain) == kind:
        return name
    if name not in kinds:
        raise ConfigError(
            f"there is no service or check {name!r}", hint="`resile status` lists them"
        )
    return f"{kinds[name]}/{name}"
