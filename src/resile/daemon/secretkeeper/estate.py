"""What there is once the provider is open: who keeps secrets, who changes them, who rotates them."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from resile.core.clock import Clock
from resile.core.vocabulary import SecretStage
from resile.daemon.secretkeeper.model import Plan
from resile.daemon.secretkeeper.recording import Tell
from resile.errors import ResileError
from resile.policies.bound import CHANCE
from resile.secrets import Consumers, Provider, Rotator
from resile.secrets.authority import Authority
from resile.secrets.providers.opening import open_provider
from resile.secrets.rotation import Book, Budget, Rotations, RotationSpec
from resile.secrets.rotators.opening import open_rotator

FOLDER_NAME = "secrets"
BOOK_NAME = "rotations.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """Safe to share between threads.

    Args:
        provider: Keeps secrets.
        authority: Reads and changes them.
        rotations: Rotates them.
    """

    provider: Provider
    authority: Authority
    rotations: Rotations

    def current(self, name: str) -> str:
        """Give the number of the current version; empty if there is none.

        Raises:
            SecretError: If the provider cannot tell.
        """
        versions = self.provider.history(name)
        return next((one.number for one in versions if one.stage is SecretStage.CURRENT), "")

    def close(self) -> None:
        """Journal what rotations did, and let go of the provider; open ones go on in the next life."""
        with contextlib.suppress(ResileError):  # What cannot be told waits in the book.
            self.rotations.settle()
        self.provider.close()


def open_estate(
    plan: Plan,
    *,
    environ: Mapping[str, str],
    consumers: Consumers,
    tell: Tell,
    clock: Clock,
) -> Estate:
    """Open the provider that is declared, and what works on it.

    Args:
        plan: What is declared.
        environ: The variables of this process, for the provider.
        consumers: Who uses which secret.
        tell: Journals.
        clock: For all that waits or stamps.

    Raises:
        ResileError: If the provider cannot be opened, or a rotator is not well declared.
    """
    provider = open_provider(plan.settings, state=plan.state, environ=environ, clock=clock)
    try:
        rotators = _Rotators(plan, provider, clock=clock)
        rotations = Rotations(
            provider,
            rotators.of,
            book=Book(plan.state / FOLDER_NAME / BOOK_NAME, clock=clock),
            consumers=consumers,
            tell=tell,
            clock=clock,
            random=CHANCE,
            specs={
                one.name: RotationSpec(
                    every_s=one.every_s, rule=one.rule, deadline_s=one.deadline_s
                )
                for one in plan.secrets.values()
                if one.rotator is not None
            },
            budget=Budget.from_settings(plan.settings["guard"]),
            dependents=rotators.dependents,
        )
        authority = Authority(provider, rotations, tell=tell, clock=clock, consumers=consumers)
    except BaseException:
        provider.close()
        raise
    return Estate(provider=provider, authority=authority, rotations=rotations)


class _Rotators:
    """Opens each rotator when it is first needed. Safe to share between threads."""

    def __init__(self, plan: Plan, provider: Provider, *, clock: Clock) -> None:
        self._plan = plan
        self._provider = provider
        self._clock = clock
        self._opened: dict[str, Rotator] = {}

    def of(self, name: str) -> Rotator | None:
        """Give the rotator of a secret; None if it has none."""
        table = self._plan.secret(name).rotator
        if table is None:
            return None
        if name not in self._opened:
            self._opened[name] = open_rotator(table, provider=self._provider, clock=self._clock)
        return self._opened[name]

    def dependents(self, name: str) -> tuple[str, ...]:
        """Name the secrets whose credentials are made with this one."""
        return tuple(
            one.name for one in self._plan.secrets.values() if name in _made_with(one.rotator or {})
        )


def _made_with(table: Mapping[str, object]) -> tuple[object, ...]:
    inner = table.get("database")
    below = _made_with(inner) if isinstance(inner, Mapping) else ()
    return (table.get("admin"), table.get("ca"), *below)
