"""The embedded provider: secrets in an SQLite file of this machine, sealed with a master key.

What is durable, what is destroyed and what a change from outside looks like stand in `local_file` and
`local_rows`; which version is what, in `stages`.
"""

import contextlib
import hmac
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.log_line import log_line
from resile.core.vocabulary import SecretStage
from resile.errors import SecretKeyError
from resile.secrets.advice import Advice
from resile.secrets.checking import need_name, need_write, unknown_secret
from resile.secrets.model import CURRENT_VERSION, Abilities, Version
from resile.secrets.providers.local_file import LocalFile, damaged
from resile.secrets.providers.local_keys import MasterKey
from resile.secrets.providers.local_rows import (
    STORE_ID_BYTES,
    Head,
    Rows,
    begin_store,
    count_names,
    read_head,
)
from resile.secrets.providers.local_seals import Seals
from resile.secrets.providers.local_sources import sources_of
from resile.secrets.providers.stages import destroyed, discarded, promoted, revoked, written
from resile.secrets.value import Secret

logger = logging.getLogger(__name__)


class LocalProvider:
    """Secrets in a file. Safe to share between threads; several processes may have the file open.

    Args:
        path: The file; made if it is missing.
        key: Where the master key comes from. A key file is made if no secret is kept yet.
        clock: Stamps versions.

    Raises:
        SecretKeyError: If the master key is missing, open to others, or another one.
        SecretDamagedError: If the file is not what was written.
        SecretError: If it cannot be opened.
    """

    kind: Final = "local"
    abilities: Final = Abilities(has_versions=True, can_write=True)

    def __init__(self, path: Path, *, key: MasterKey, clock: Clock = SYSTEM_CLOCK) -> None:
        self._file = LocalFile(path)
        self._key = key
        self._clock = clock
        self._seals: Seals | None = None
        try:
            with self._file.writing() as sql:
                self._begin(sql)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        state: Path | None,
        environ: Mapping[str, str],
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """Open what the table `[secrets]` says.

        Args:
            settings: The table, as plain data.
            state: The state folder, for what the table does not say; None if there is none.
            environ: Where systemd says which folder has credentials.
            clock: Stamps versions.

        Raises:
            ConfigError: If it names several master keys, or neither a file nor a state folder.
            SecretError: As the class.
        """
        path, key = sources_of(settings, state=state, environ=environ)
        return cls(path, key=key, clock=clock)

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version of a secret."""
        need_name(name)
        with self._reading() as rows:
            found = rows.shelf(name).find(version)
            if found.stage is SecretStage.RETIRED:
                raise revoked(name, version)
            value = rows.value(name, found)
        return Secret(name, found.number, value, stage=found.stage, created_at=found.created_at)

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions, the newest first."""
        need_name(name)
        with self._reading() as rows:
            versions = rows.shelf(name).versions
        if not versions:
            raise unknown_secret(name)
        return versions

    def names(self) -> tuple[str, ...]:
        """Give all names, sorted."""
        with self._reading() as rows:
            return rows.names()

    def write(
        self,
        name: str,
        value: bytes,
        *,
        stage: SecretStage = SecretStage.CURRENT,
        expect: str | None = None,
        token: str,
    ) -> Version:
        """Write a new version, as the current one or as the candidate."""
        need_write(name, value, stage=stage, token=token)
        with self._writing() as rows:
            before = rows.shelf(name)
            after, version = written(
                before,
                stage=stage,
                expect=expect,
                token=token,
                at=self._clock.now(),
                has_value=lambda one: hmac.compare_digest(rows.value(name, one), value),
            )
            rows.save(before, after, value)
        return version

    def promote(self, name: str, *, token: str, expect: str | None) -> Version:
        """Make the candidate of this token the current version."""
        need_name(name)
        with self._writing() as rows:
            before = rows.shelf(name)
            after, version = promoted(before, token=token, expect=expect)
            rows.save(before, after)
        return version

    def discard(self, name: str, *, token: str) -> None:
        """Destroy the candidate of this token."""
        need_name(name)
        with self._writing() as rows:
            before = rows.shelf(name)
            rows.save(before, discarded(before, token=token))

    def destroy(self, name: str, version: str) -> None:
        """Destroy the value of a version for good."""
        need_name(name)
        with self._writing() as rows:
            before = rows.shelf(name)
            rows.save(before, destroyed(before, version))

    def check(self) -> None:
        """See that it opens with the master key, and that no name was added or taken away."""
        with self._reading():
            pass

    def examine(self) -> tuple[Advice, ...]:
        """Open every value, and look at the files around."""
        from resile.secrets.providers.local_examining import examine_files

        with self._reading() as rows:
            rows.verify()
        return examine_files(self._file.path, self._key)

    def rekey(self) -> int:
        """Wrap the keys of all versions with a new master key; give how many there were.

        A new key file is made. A new passphrase or credential has to stand beside the old one, with
        `.new` after its name. All of it or nothing happens, whatever is cut in between, and the store opens by itself
        afterwards: both keys are there until it has changed over. Copies of the old store still open with the old key.

        Raises:
            SecretKeyError: If there is no new master key, or it is the old one. Or if the new one
                could not be put in the place of the old one: then the store uses it where it is.
            SecretError: As every write.
        """
        with self._file.writing() as sql:
            rows = self._verified(sql)
            self._settle(rows.head)  # Else a key that is still needed could be overwritten.
            salt = self._key.new_salt()
            seals = Seals(self._key.prepare_next(salt), rows.head.store_id)
            if seals.check == rows.head.key_check:
                raise SecretKeyError(
                    f"{self._key.next_path} holds the master key that the store has",
                    hint="put another one there",
                )
            count = rows.reseal(seals, salt)
        with self._file.writing() as sql:
            self._settle(self._verified(sql).head)
        self._file.sweep()
        return count

    def close(self) -> None:
        """Let go of the file and of the keys."""
        self._file.close()
        self._seals = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Rows]:
        with self._file.reading() as sql:
            yield self._verified(sql)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Rows]:
        with self._file.writing() as sql:
            rows = self._verified(sql)
            yield rows
        if rows.has_destroyed:
            self._file.sweep()

    def _verified(self, sql: sqlite3.Connection) -> Rows:
        """Give the rows, with the master key looked up anew if another process has changed it."""
        head = read_head(sql, self._file.path)
        if head is None:
            raise damaged(self._file.path, "all that was in it is gone")
        if self._seals is None or self._seals.check != head.key_check:
            self._seals, _ = self._fitting(head)
        return Rows(sql, head, self._seals, self._file.path)

    def _begin(self, sql: sqlite3.Connection) -> None:
        """Make what a new store needs; of another, see that its key is there, and finish a change of it."""
        head = read_head(sql, self._file.path)
        has_secrets = count_names(sql) > 0
        if not has_secrets:
            self._key.make()
        if head is None or (not has_secrets and not self._is_fitting(head)):
            salt, store_id = self._key.new_salt(), os.urandom(STORE_ID_BYTES)
            self._seals = Seals(self._key.read(salt), store_id)
            begin_store(sql, store_id, salt, self._seals)
            return
        try:
            self._settle(head)
        except SecretKeyError:
            self._fitting(head)  # If there is none at all, that is what is wrong.
            fields: dict[str, object] = {"next": str(self._key.next_path)}
            logger.warning(log_line("secrets.key_not_replaced", fields), extra=fields)
        self._verified(sql)

    def _settle(self, head: Head) -> None:
        """Finish what a cut change of the master key left. Only within a transaction that writes."""
        _, path = self._fitting(head)
        if path == self._key.next_path:
            self._key.adopt_next()
        else:
            self._key.drop_next()

    def _is_fitting(self, head: Head) -> bool:
        try:
            self._fitting(head)
        except SecretKeyError:
            return False
        return True

    def _fitting(self, head: Head) -> tuple[Seals, Path]:
        """Find the master key of the store.

        Raises:
            SecretKeyError: If it is not there.
        """
        if bool(head.salt) != self._key.needs_salt:
            what = "a passphrase" if head.salt else "a key, not with a passphrase"
            raise SecretKeyError(
                f"{self._file.path} is sealed with {what}",
                hint="name its own master key in [secrets] of resile.toml",
            )
        key, path = self._key.fitting(
            head.salt, fits=lambda key: Seals(key, head.store_id).check == head.key_check
        )
        return Seals(key, head.store_id), path
