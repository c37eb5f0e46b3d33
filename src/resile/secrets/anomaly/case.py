"""What speaks against one client: the signals of the last hour, and what was told of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from resile.core.vocabulary import SecretResponse
from resile.secrets.anomaly.decide import Standing, counts, decide, is_proof
from resile.secrets.anomaly.model import HOUR_S, Finding, Sign, Signal

EVIDENCE_S = HOUR_S
"""So long a signal counts together with others, and is told only once unless it gets worse."""
NAMES_MAX = 20
"""A finding names so many secrets at most."""
_RESPONSES = tuple(SecretResponse)
"""The mildest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """A signal as it was raised last, and whether it has counted at any time of this hour."""

    sign: Sign
    at_s: float
    is_counted: bool


class Case:
    """The evidence against one client. Not thread-safe.

    Args:
        client: Who.
    """

    def __init__(self, client: str) -> None:
        self._client = client
        self._evidence: dict[Signal, _Evidence] = {}
        self._told = SecretResponse.LOG

    def forget(self) -> None:
        """Let nothing of it count any more."""
        self._evidence.clear()
        self._told = SecretResponse.LOG

    def take(self, signs: Sequence[Sign], standing: Standing, at_s: float) -> Finding | None:
        """Take in what was raised now; give a finding if that is new, is a proof, or makes it worse.

        Args:
            signs: What was raised; at least one.
            standing: What excuses the client.
            at_s: When, in seconds from the epoch.
        """
        self._expire(at_s)
        is_new = any(is_proof(s.signal) or s.signal not in self._evidence for s in signs)
        for sign in signs:
            before = self._evidence.pop(sign.signal, None)
            is_counted = counts(sign.signal, standing) or (before is not None and before.is_counted)
            self._evidence[sign.signal] = _Evidence(sign=sign, at_s=at_s, is_counted=is_counted)
        finding = self._finding()
        is_worse = _RESPONSES.index(finding.response) > _RESPONSES.index(self._told)
        if not is_new and not is_worse:
            return None
        self._told = max(self._told, finding.response, key=_RESPONSES.index)
        return finding

    def _expire(self, at_s: float) -> None:
        self._evidence = {
            signal: evidence
            for signal, evidence in self._evidence.items()
            if at_s - evidence.at_s < EVIDENCE_S
        }
        if not self._evidence:
            self._told = SecretResponse.LOG

    def _finding(self) -> Finding:
        """Say what all of it comes to, the newest first."""
        evidence = dict(reversed(self._evidence.items()))
        counted = [signal for signal, one in evidence.items() if one.is_counted]
        verdict = decide(evidence, counted=counted)
        names = dict.fromkeys(name for one in evidence.values() for name in one.sign.names)
        return Finding(
            client=self._client,
            names=tuple(names)[:NAMES_MAX],
            signals=tuple(evidence),
            score=verdict.score,
            response=verdict.response,
            why="; ".join(one.sign.why for one in evidence.values()),
        )
