"""What drills have to know of a system, taken from its configuration. Pure."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from resile.core.config import Config
from resile.core.config.services import ServiceSection
from resile.drill import Cell
from resile.drill.declared import Bars, Declared, DeclaredService, LoadSpec
from resile.drill.matrix import cells_of, chosen

_LOOPBACK = ("127.0.0.1", "localhost")


def matrix_of(config: Config, *, root: Path, state: Path) -> tuple[Cell, ...]:
    """Give every cell that should be proven: all that fit what is declared, less what is excluded.

    Args:
        config: What the user declared.
        root: Its folder.
        state: The state folder.
    """
    declared = declared_of(config, root=root, state=state)
    return chosen(cells_of(declared), exclude=declared.exclude)


def declared_of(config: Config, *, root: Path, state: Path) -> Declared:
    """Take from a configuration what a drill has to know.

    Args:
        config: What the user declared.
        root: Its folder.
        state: The state folder.
    """
    load = config.drill.load
    return Declared(
        services=tuple(
            DeclaredService(
                name=name,
                memory_bytes=service.limits.memory,
                is_restarted_before_oom=service.oom == "restart",
                is_probed=bool(service.live or service.watchdog > 0),
                address=_address(service),
                intensity=service.restart.intensity,
                period_s=service.restart.period,
            )
            for name, service in config.service.items()
        ),
        folders={name: _shown(one.folder, root) for name, one in config.snapshot.items()},
        protected=tuple(
            _shown(one.folder, root) for one in config.snapshot.values() if one.protect
        ),
        databases=tuple(
            _shown(one.sqlite, root) for one in config.check.values() if one.sqlite is not None
        ),
        packs=_packs(config, root, state),
        scrub_every_s=config.store.scrub_every,
        secrets=tuple(name for name, one in config.secret.items() if one.rotator is not None),
        load=None
        if load is None
        else LoadSpec(
            url=load.url,
            body=load.body,
            kind=load.type,
            acked=load.acked,
            read_back=load.read_back,
            clean_up=load.clean_up,
            service=load.service,
            rate=float(load.rate),
            timeout_s=load.timeout,
        ),
        exclude=config.drill.exclude,
        bars=_bars(config),
    )


def _bars(config: Config) -> Mapping[str, Bars]:
    return {
        name: Bars(detection_s_max=one.detection, recovery_s_max=one.recovery)
        for name, one in config.drill.scenario.items()
    }


def _address(service: ServiceSection) -> str:
    """Give where a service listens, as its checks tell; empty if they do not, or it is not on the loopback."""
    for check in filter(None, (service.ready, service.live)):
        parts = urlsplit(check.http or f"tcp://{check.tcp or ''}")
        if parts.hostname in _LOOPBACK and parts.port:
            return f"{parts.hostname}:{parts.port}"
    return ""


def _packs(config: Config, root: Path, state: Path) -> Path | None:
    """Give the folder of the store's packs, if what is damaged there can be mended."""
    store = config.store
    if not config.snapshot or not (store.replica or store.parity) or "://" in store.place:
        return None
    place = Path(store.place) if store.place else state / "store"
    return _shown(place, root) / "packs"


def _shown(path: Path, root: Path) -> Path:
    """Write a path from the system's folder on, as `resile.toml` has it, if it is in there."""
    return path.relative_to(root) if path.is_relative_to(root) else path
