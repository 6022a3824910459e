"""Actions and their ledger: what is to be done, and what people say became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.actions.action import LIVE, Action
from lifecycle_ml.store import assigned, audit, lists, overflow, remembered
from lifecycle_ml.store import events as happenings
from lifecycle_ml.store.access import Access, in_parts
from lifecycle_ml.store.rows import ActionFilters, Page
from lifecycle_ml.store.schema import actions, ledger, naive_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from lifecycle_ml.actions.ledger import Word
    from lifecycle_ml.actions.next_hour import Waiting
    from lifecycle_ml.store.assigned import Assigned
    from lifecycle_ml.store.remembered import Answer


class Actions(Access):
    """The actions of all accounts."""

    def open_actions(self) -> list[Action]:
        """Return all actions that have not ended, by id: those to be done, and those held out."""
        return self._actions(actions.c.status.in_(LIVE))

    def recent_actions(self, since: datetime) -> list[Action]:
        """Return the actions that ended (done, dismissed or closed) at `since` or later, by id."""
        return self._actions(actions.c.status.not_in(LIVE), actions.c.changed_at >= naive_utc(since))

    def actions(self, account_ids: Collection[str]) -> dict[str, list[Action]]:
        """Return every action of the given accounts, finished ones too, oldest first."""
        found: dict[str, list[Action]] = {account_id: [] for account_id in account_ids}
        for ids in in_parts(found):
            for action in self._actions(actions.c.account_id.in_(ids), order=(actions.c.opened_at,)):
                found[action.account_id].append(action)
        return found

    def list_actions(
        self, filters: ActionFilters | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page:
        """Return one page of the queue as mappings, most ARR kept per hour first. Raises: CursorError."""
        with self._reading() as connection:
            return lists.action_page(connection, filters or ActionFilters(), cursor, limit)

    def waiting(self) -> list[Waiting]:
        """Return the work over capacity, with who would do it had they the hours."""
        with self._reading() as connection:
            return overflow.waiting(connection)

    def ledger(self, account_id: str) -> list[dict[str, Any]]:
        """Return what happened to an account's actions, oldest first."""
        question = (
            sa.select(ledger)
            .where(ledger.c.account_id == account_id)
            .order_by(ledger.c.at, ledger.c.event_id)
        )
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(question).mappings()]

    def assignments(self) -> list[Assigned]:
        """Return who was offered a playbook or trigger, who was held out, and what became of the offers.

        Grain: one per account, playbook and episode, the oldest first.
        """
        with self._reading() as connection:
            return assigned.read(connection)

    def tell(self, action_id: str, word: Word, by: str, at: datetime) -> Action:
        """Apply a person's word to an action and return the action as it stands then, in one transaction.

        Raises: NoSuchActionError for an unknown id, ActionError where the word cannot be said about it.
        """
        with self._writing() as connection:
            action = happenings.tell(connection, action_id, word, by, at)
            audit.write(connection, audit.Entry(at, by, audit.deed_of(word), action_id))
        return action

    def tell_once(
        self,
        action_id: str,
        word: Word,
        by: str,
        at: datetime,
        *,
        key: str,
        caller: str,
        request_digest: str,
        answer: Callable[[Action], Answer],
        request_id: str = "",
    ) -> Answer:
        """Apply a person's word once per idempotency key, and return what is (or was) answered to it.

        The word and its answer are written in one transaction: killed in between, neither is there.
        Raises: like `tell`, and ReusedKeyError if the key came with another request before.
        """
        did = audit.deed_of(word)
        request = remembered.Request(key, caller, request_digest, did, action_id, request_id)
        with self._writing() as connection:
            return remembered.once(
                connection, request, at, lambda: answer(happenings.tell(connection, action_id, word, by, at))
            )

    def _actions(self, *where: sa.ColumnElement[bool], order: Sequence[Any] = ()) -> list[Action]:
        question = sa.select(*happenings.COLUMNS).where(*where).order_by(*order, actions.c.action_id)
        with self._reading() as connection:
            return [Action(**row) for row in connection.execute(question).mappings()]
