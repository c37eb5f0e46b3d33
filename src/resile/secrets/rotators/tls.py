"""Rotate a key and its certificate, signed by an authority that is a secret itself, or by itself.

The value is one text of PEM blocks: the key, the certificate, and those between it and the root; a file of
it is what servers load (`ssl.SSLContext.load_cert_chain(path)`). The old certificate stays valid until
its own end: nobody can be made to refuse it here, so its lifetime is what bounds a compromise.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Self

from resile.core.clock import Clock
from resile.errors import ConfigError, OperationError
from resile.secrets.model import Turn
from resile.secrets.port import Provider
from resile.secrets.rotators.certificates import (
    Pair,
    is_authority,
    is_signed,
    make_pair,
    names_of,
    normal,
    read_pair,
)

CLOCK_SKEW: Final = timedelta(minutes=5)
"""A certificate begins so long ago, for machines whose clock is behind."""


class TlsRotator:
    """Makes EC keys (P-256) with certificates for servers and clients. Safe to share between threads.

    Args:
        ca: The secret with the authority's key and certificates, as PEM; empty: it signs itself.
        names: The names and addresses that it is for; the first is its common name.
        lifetime_s: How long it is valid, an hour or more; never longer than the authority's own.
        provider: Keeps the authority.
        clock: For its dates.
    """

    kind: Final = "tls"
    has_overlap: Final = True

    def __init__(
        self,
        *,
        ca: str = "",
        names: Sequence[str],
        lifetime_s: float,
        provider: Provider,
        clock: Clock,
    ) -> None:
        if not names:
            raise ConfigError("a certificate is for at least one name", hint="give it names")
        self._ca = ca
        self._names = tuple(names)
        self._lifetime = timedelta(seconds=lifetime_s)
        self._provider = provider
        self._clock = clock

    @classmethod
    def open(cls, settings: Mapping[str, Any], *, provider: Provider, clock: Clock) -> Self:
        """Open what the table `rotator` says."""
        return cls(
            ca=settings.get("ca", ""),
            names=settings["names"],
            lifetime_s=settings.get("lifetime", 90 * 86400.0),
            provider=provider,
            clock=clock,
        )

    def prepare(self, turn: Turn) -> bytes:  # noqa: ARG002 - the old one does not matter
        """Make a key and a certificate.

        Raises:
            OperationError: If the authority is none, or not valid any more.
        """
        now = self._clock.now()
        return make_pair(
            self._names,
            begins_at=now - CLOCK_SKEW,
            ends_at=now + self._lifetime,
            signer=self._authority(),
        )

    def set(self, turn: Turn) -> None:
        """Do nothing: there is no target but its consumers."""

    def verify(self, turn: Turn) -> None:
        """See that key, signature, names and dates fit, as those who trust the authority will.

        Raises:
            OperationError: If they do not.
        """
        if turn.after is None:
            raise AssertionError("a rotation has a candidate from `prepared` on")
        pair = read_pair(turn.after)
        leaf, now = pair.certificates[0], self._clock.now()
        authority = self._authority()
        signer = leaf if authority is None else authority.certificates[0]
        for fits, fault in (
            (pair.fits(), "its key is another one's"),
            (names_of(leaf) >= set(map(normal, self._names)), "it lacks a name"),
            (is_signed(leaf, signer), "the authority has not signed it"),
            (leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc, "it is not valid now"),
            (signer.not_valid_after_utc >= leaf.not_valid_after_utc, "it outlives its authority"),
        ):
            if not fits:
                raise OperationError(f"the certificate of {turn.name} does not fit: {fault}")

    def retire(self, turn: Turn) -> None:
        """Do nothing: a certificate is valid until its end."""

    def abort(self, turn: Turn) -> None:
        """Do nothing: nobody has it."""

    def _authority(self) -> Pair | None:
        if not self._ca:
            return None
        pair = read_pair(self._provider.read(self._ca))
        if not pair.fits() or not is_authority(pair.certificates[0]):
            raise OperationError(
                f"secret {self._ca!r} is no certificate authority with its key",
                hint="it holds, as PEM, a key, the certificate of it, and those above it",
            )
        if pair.certificates[0].not_valid_after_utc <= self._clock.now():
            raise OperationError(f"the authority {self._ca!r} is not valid any more")
        return pair
