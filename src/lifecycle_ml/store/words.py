"""What people say of accounts, kept beside what the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle_ml.store import audit, remembered
from lifecycle_ml.store import reviews as reviewing
from lifecycle_ml.store import said as spoken
from lifecycle_ml.store.access import Access
from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lifecycle_ml.actions.account_words import AccountWord, Said
    from lifecycle_ml.store.remembered import Answer


class PeoplesWords(Access):
    """Overrides, sentiment, outcomes of checkpoints and decisions of reviews."""

    def say(self, account_id: str, word: AccountWord, by: str, at: datetime) -> Said:
        """Keep what a person says of an account, and return it as it is kept.

        Raises: NoSuchAccountError for an account the store never saw, AccountWordError where the word cannot
        be said about this account.
        """
        with self._writing() as connection:
            said = spoken.keep(connection, account_id, word, by, naive_utc(at))
            audit.write(connection, audit.Entry(at, by, audit.deed_of(word), account_id))
        return said

    def say_once(
        self,
        account_id: str,
        word: AccountWord,
        by: str,
        at: datetime,
        *,
        key: str,
        caller: str,
        request_digest: str,
        answer: Callable[[Said], Answer],
        request_id: str = "",
    ) -> Answer:
        """Keep what a person says once per idempotency key, as `tell_once` does for actions.

        Raises: like `say`, and ReusedKeyError if the key came with another request before.
        """
        did = audit.deed_of(word)
        request = remembered.Request(key, caller, request_digest, did, account_id, request_id)
        with self._writing() as connection:
            return remembered.once(
                connection,
                request,
                at,
                lambda: answer(spoken.keep(connection, account_id, word, by, naive_utc(at))),
            )

    def said(self, account_id: str, limit: int = 200) -> list[Said]:
        """Return what people said of an account, the newest first."""
        with self._reading() as connection:
            return spoken.history(connection, account_id, limit)

    def decisions(self, since: datetime) -> list[Said]:
        """Return the decisions people kept from an instant on, the oldest first."""
        with self._reading() as connection:
            return reviewing.decisions(connection, naive_utc(since))
