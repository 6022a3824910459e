"""Publications, readings, actions and their ledger in a SQL database.

Writing: `begin`, `write_readings` (any number of times), `publish`. Until `publish` commits, nothing of a
publication is seen by readers; after it, all of it is. A run that was killed leaves a publication nobody
sees, which the next `begin` for the same as_of goes on with.
"""

from __future__ import annotations

import secrets as randomness
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.actions.action import LIVE, Action
from lifecycle_ml.store import assigned, audit, forgotten, lists, overflow, publishing, remembered
from lifecycle_ml.store import colors as past_colors
from lifecycle_ml.store import events as happenings
from lifecycle_ml.store import reviews as reviewing
from lifecycle_ml.store import said as spoken
from lifecycle_ml.store import statements as revenue
from lifecycle_ml.store.at_hand import AtHand
from lifecycle_ml.store.engine import open_engine, say_store_error, writing
from lifecycle_ml.store.keys import Keys
from lifecycle_ml.store.rows import (
    AccountFilters,
    ActionFilters,
    Mix,
    OnboardingStart,
    Page,
    Past,
    Unscored,
)
from lifecycle_ml.store.schema import (
    actions,
    ledger,
    listings,
    naive_utc,
    onboarding_starts,
    pointer,
    readings,
    unscored,
    verdicts,
)
from lifecycle_ml.store.schema import secrets as secret_table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from lifecycle_ml.actions.account_words import AccountWord, Said
    from lifecycle_ml.actions.action import ActionEvent
    from lifecycle_ml.actions.ledger import Word
    from lifecycle_ml.actions.next_hour import Waiting
    from lifecycle_ml.store.assigned import Assigned
    from lifecycle_ml.store.remembered import Answer
    from lifecycle_ml.store.rows import Before, Kind, Listed, Publication, Sort, StoredReading

BATCH = 2_000
"""Readings written per statement; each batch is its own transaction, so others can write in between."""
ASKED = 500
"""Ids per IN list."""
STREAMED = 1_000
"""Accounts held at a time where all are given out."""


_LATEST_VERDICT = sa.select(verdicts.c.document).order_by(verdicts.c.as_of.desc()).limit(1)


class Store:
    """The store at one address. Safe to share between threads; open it with `Store.open`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._at_hand = AtHand(engine)

    def __repr__(self) -> str:
        return f"Store({self._engine.url.render_as_string(hide_password=True)!r})"

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the store, making its tables where it is empty and migrating it where it is an earlier one's.

        Raises: ConfigError for an address that cannot be one, StoreError where nothing answers or the
        store is a newer program's.
        """
        return cls(open_engine(url))

    def close(self) -> None:
        """Close all connections."""
        self._at_hand.close()
        self._engine.dispose()

    def ping(self) -> None:
        """Ask the database one question. Raises: StoreError if it does not answer."""
        with self._reading() as connection:
            connection.execute(sa.select(pointer.c.publication_id)).first()

    # Writing a publication

    def begin(
        self,
        as_of: date,
        known_at: datetime,
        now: datetime,
        kind: Kind = "nightly",
        digests: Mapping[str, Any] | None = None,
    ) -> Publication:
        """Begin a publication nobody sees yet, or go on with the one a killed run left.

        Called at the start of a run: `now` is the recorded clock of the run and becomes the time of
        publishing. Where a run for the same as_of and kind was killed, its publication comes back under the
        same id, empty, with the `now` recorded then: go on with that one. The earlier run, if it still
        works, can write no more. `digests` says what the publication was made with (workspace, bundles,
        package) and is served with it; `publish` can still set it.
        """
        with self._writing() as connection:
            return publishing.begin(connection, as_of, known_at, now, kind, digests or {})

    def write_readings(self, publication: Publication, rows: Iterable[StoredReading]) -> int:
        """Add readings to an unpublished publication, in batches; return how many.

        Raises: StoreError if it is published, a later run took it over, or an account comes twice.
        """
        return self._write_batches(publication, rows, (readings, listings))

    def write_unscored(self, publication: Publication, reasons: Mapping[str, str]) -> int:
        """Add the accounts that are known but have no reading, each with the reason in words."""
        rows = (Unscored(account_id, why) for account_id, why in reasons.items())
        return self._write_batches(publication, rows, (unscored,))

    def write_onboarding_starts(
        self, publication: Publication, starts: Mapping[str, list[dict[str, Any]]]
    ) -> int:
        """Add what must be true before the onboarding of these accounts starts; return for how many."""
        rows = (OnboardingStart(account_id, criteria) for account_id, criteria in starts.items())
        return self._write_batches(publication, rows, (onboarding_starts,))

    def publish(
        self,
        publication: Publication,
        events: Sequence[ActionEvent] = (),
        *,
        digests: Mapping[str, Any] | None = None,
        current: bool = True,
    ) -> bool:
        """Make a publication and what it did to the actions visible, in one transaction.

        Returns whether readers see it now. `current=False` completes it without moving the pointer: replayed
        history. So does a newer as_of that readers see already: the publication is kept as history, and
        its events are dropped. Raises: StoreError if it is published or a later run took it over.
        """
        with self._writing() as connection:
            row = publishing.must_be_open(connection, publication)
            seen = publishing.current(connection)
            point = current and (seen is None or seen.as_of <= publication.as_of)
            if point or not current:
                here = publication.publication_id
                told = forgotten.without(connection, here, events, lambda event: event.action.account_id)
                happenings.record(connection, here, row.ledger_seen, told)
            kind: Kind = publication.kind if point or not current else "history"
            publishing.make_visible(connection, publication, digests, kind, point=point)
        return point

    # Reading publications

    def current(self) -> Publication | None:
        """Return the publication readers see, or None where nothing is published."""
        with self._reading() as connection:
            return publishing.current(connection)

    def publications(self, kind: Kind | None = None) -> list[Publication]:
        """Return all published publications (of one kind), the newest as_of first."""
        with self._reading() as connection:
            return publishing.published(connection, kind=kind)

    def published(self, as_of: date, kind: Kind | None = None) -> Publication | None:
        """Return the latest publication (of one kind) published for `as_of`."""
        with self._reading() as connection:
            return next(iter(publishing.published(connection, as_of, kind)), None)

    def publication(self, as_of: date | None = None) -> Publication | None:
        """Return the current publication, or the latest one published for `as_of`."""
        with self._reading() as connection:
            return (
                publishing.current(connection) if as_of is None else publishing.latest_for(connection, as_of)
            )

    def states(self, before: date, since: date | None = None) -> dict[str, Before]:
        """Return each account's own last reading of an as_of before `before` (and not before `since`)."""
        with self._reading() as connection:
            return publishing.last_readings(connection, before, since)

    # Reading readings

    def reading(self, account_id: str, as_of: date | None = None) -> bytes | None:
        """Return one stored reading of the current publication, or of the latest one for `as_of`."""
        return self.readings([account_id], as_of).get(account_id)

    def readings(self, account_ids: Collection[str], as_of: date | None = None) -> dict[str, bytes]:
        """Return stored readings by account; accounts without one are left out."""
        return self.answers(account_ids, as_of).bodies

    def answers(self, account_ids: Collection[str], as_of: date | None = None) -> lists.Answers:
        """Return readings, unfinished actions and what is known of the rest, all of one moment."""
        version, kept = (None, None) if as_of else self._at_hand.look(account_ids)
        if kept is not None:
            return kept
        with self._reading() as connection:
            if as_of is None:
                publication = publishing.current(connection)
            else:
                publication = publishing.latest_for(connection, as_of)
            found = lists.Answers(publication)
            for ids in _chunks(dict.fromkeys(account_ids), ASKED):
                lists.add_answers(connection, found, ids)
        self._at_hand.keep(version, found)
        return found

    def answers_at_hand(self, account_ids: Collection[str]) -> lists.Answers | None:
        """Return what `answers` would, where that asks the database nothing; None: call `answers`."""
        return self._at_hand.look(account_ids)[1]

    def history(self, account_id: str, limit: int = 100, before: date | None = None) -> list[Past]:
        """Return an account's readings, the newest first: one per as_of, the one published last."""
        with self._reading() as connection:
            return lists.history(connection, account_id, limit, before)

    def list_accounts(
        self,
        filters: AccountFilters | None = None,
        sort: Sort = "arr_at_risk",
        cursor: str | None = None,
        limit: int = 50,
        *,
        descending: bool | None = None,
    ) -> Page:
        """Return one page of the current publication's accounts (`Listed`) and the next page's cursor.

        Sorted by money or risk, highest first, by renewal date, soonest first, or by name; `descending`
        turns it round. What has no value comes last either way. A cursor goes on in the publication it
        began in. Raises: CursorError.
        """
        return self._page(filters, lists.Order.of(sort, descending), cursor, limit)

    def all_accounts(
        self,
        filters: AccountFilters | None = None,
        sort: Sort = "arr_at_risk",
        *,
        descending: bool | None = None,
    ) -> Iterator[Listed]:
        """Yield every account of a list, all of one publication, holding a thousand at a time."""
        cursor = None
        while True:
            page = self._page(filters, lists.Order.of(sort, descending), cursor, STREAMED, with_actions=False)
            yield from page.rows
            if (cursor := page.next) is None:
                return

    def renewals(
        self,
        filters: AccountFilters | None = None,
        before: date | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return one page of the accounts (`Listed`) whose term ends, soonest first. Raises: CursorError.

        `before` leaves out renewals on that day and later. Evergreen contracts have no renewal.
        """
        filters = filters or AccountFilters()
        if before is not None:
            ends = (filters.renewal_before, before)
            filters = replace(filters, renewal_before=min(end for end in ends if end is not None))
        return self._page(filters, lists.Order.of("renewal", None, "renewing"), cursor, limit)

    def triggers(
        self, filters: AccountFilters | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page:
        """Return one page of the accounts (`Listed`) with a trigger, most ARR first. Raises: CursorError."""
        return self._page(filters, lists.Order.of("arr", None, "triggered"), cursor, limit)

    def mix(self, filters: AccountFilters | None = None) -> dict[str, Mix]:
        """Return how many accounts (of those asked for) have each colour now, and their money."""
        with self._reading() as connection:
            seen = publishing.current(connection)
            if seen is None:
                return {}
            return lists.color_mix(connection, seen.publication_id, filters or AccountFilters())

    def choices(self) -> dict[str, list[str]]:
        """Return the values to filter by: owner, segment, stage, reason, expansion_band."""
        with self._reading() as connection:
            seen = publishing.current(connection)
            if seen is None:
                return {name: [] for name in lists.CHOICES}
            return lists.choices(connection, seen.publication_id)

    # Reading actions

    def open_actions(self) -> list[Action]:
        """Return all actions that have not ended, by id: those to be done, and those held out."""
        return self._actions(actions.c.status.in_(LIVE))

    def recent_actions(self, since: datetime) -> list[Action]:
        """Return the actions that ended (done, dismissed or closed) at `since` or later, by id."""
        return self._actions(actions.c.status.not_in(LIVE), actions.c.changed_at >= naive_utc(since))

    def actions(self, account_ids: Collection[str]) -> dict[str, list[Action]]:
        """Return every action of the given accounts, finished ones too, oldest first."""
        found: dict[str, list[Action]] = {account_id: [] for account_id in account_ids}
        for ids in _chunks(found, ASKED):
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

    def write_effects(self, as_of: date, at: datetime, found: Sequence[dict[str, Any]]) -> None:
        """Keep what playbooks changed, outcomes known up to `as_of`, for the pages."""
        with self._writing() as connection:
            assigned.write_effects(connection, as_of, at, found)

    def effects(self) -> dict[str, Any] | None:
        """Return what playbooks changed as kept last (as_of, at, document), None before that."""
        with self._reading() as connection:
            return assigned.read_effects(connection)

    def audit_log(
        self, who: str | None = None, since: datetime | None = None, limit: int = 1_000
    ) -> list[audit.Entry]:
        """Return who changed what through the service or its keys, the newest first."""
        with self._reading() as connection:
            return audit.read(connection, who, since, limit)

    def keys(self) -> Keys:
        """Return the API keys of this store."""
        return Keys(self._engine)

    def colors(self, days: Collection[date]) -> dict[date, dict[str, str]]:
        """Return, by as_of, the colours of accounts in the newest publication beside each of `days`."""
        with self._reading() as connection:
            return past_colors.colors(connection, days)

    def secret(self, name: str) -> bytes:
        """Return this store's random value of that name, made once: the same for every worker."""
        question = sa.select(secret_table.c.value).where(secret_table.c.name == name)
        with self._reading() as connection:
            value = connection.execute(question).scalar()
        if value is None:
            with self._writing() as connection:
                value = connection.execute(question).scalar()
                if value is None:
                    value = randomness.token_bytes(32)
                    connection.execute(sa.insert(secret_table).values(name=name, value=value))
        return bytes(value)

    # People and the monitor

    def tell(self, action_id: str, word: Word, by: str, at: datetime) -> Action:
        """Apply a person's word to an action and return the action as it stands then, in one transaction.

        Raises: NoSuchActionError for an unknown id, ActionError where the word cannot be said about it.
        """
        with self._writing() as connection:
            action = happenings.tell(connection, action_id, word, by, at)
            audit.write(connection, audit.Entry(at, by, _deed(word), action_id))
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
        did = _deed(word)
        request = remembered.Request(key, caller, request_digest, did, action_id, request_id)
        with self._writing() as connection:
            given = remembered.replay(connection, request, at)
            if given is None:
                given = answer(happenings.tell(connection, action_id, word, by, at))
                remembered.remember(connection, request, given, at)
        return given

    def say(self, account_id: str, word: AccountWord, by: str, at: datetime) -> Said:
        """Keep what a person says of an account, and return it as it is kept.

        Raises: NoSuchAccountError for an account the store never saw, AccountWordError where the word cannot
        be said about this account.
        """
        with self._writing() as connection:
            said = spoken.keep(connection, account_id, word, by, naive_utc(at))
            audit.write(connection, audit.Entry(at, by, _deed(word), account_id))
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
        did = _deed(word)
        request = remembered.Request(key, caller, request_digest, did, account_id, request_id)
        with self._writing() as connection:
            given = remembered.replay(connection, request, at)
            if given is None:
                given = answer(spoken.keep(connection, account_id, word, by, naive_utc(at)))
                remembered.remember(connection, request, given, at)
        return given

    def renewals_as_told(self, renewals: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return renewals (documents by account) with what was done and said at each checkpoint."""
        with self._reading() as connection:
            words = spoken.checkpoints(connection, renewals)
        return {account_id: words.add_to(account_id, one) for account_id, one in renewals.items()}

    def renewal(self, account_id: str, as_of: date | None = None) -> dict[str, Any] | None:
        """Return the renewal ahead of an account as `renewals_as_told` does, None where there is none."""
        with self._reading() as connection:
            return spoken.told_renewal(connection, account_id, as_of)

    def onboarding_start(self, account_id: str, as_of: date | None = None) -> list[dict[str, Any]]:
        """Return what must be true before an account's onboarding starts; [] where nobody asks any more."""
        with self._reading() as connection:
            if as_of is None:
                seen = publishing.current(connection)
            else:
                seen = publishing.latest_for(connection, as_of)
            return lists.onboarding_start(connection, seen, account_id)

    def said(self, account_id: str, limit: int = 200) -> list[Said]:
        """Return what people said of an account, the newest first."""
        with self._reading() as connection:
            return spoken.history(connection, account_id, limit)

    def reviewable(self, owner: str | None = None, segment: str | None = None) -> list[reviewing.Reviewable]:
        """Return the accounts readers see that are red, at a checkpoint or triggered, by account_id."""
        with self._reading() as connection:
            seen = publishing.current(connection)
            here = None if seen is None else seen.publication_id
            return [] if here is None else reviewing.reviewable(connection, here, owner, segment)

    def decisions(self, since: datetime) -> list[Said]:
        """Return the decisions people kept from an instant on, the oldest first."""
        with self._reading() as connection:
            return reviewing.decisions(connection, naive_utc(since))

    def replay(
        self, key: str, caller: str, request_digest: str, now: datetime | None = None
    ) -> Answer | None:
        """Return the answer given to this idempotency key before, None where there is none.

        With `now`, an answer older than 24 hours counts as none. Raises: ReusedKeyError if the key came with
        another request.
        """
        with self._reading() as connection:
            return remembered.replay(connection, remembered.Request(key, caller, request_digest), now)

    def remember(self, key: str, caller: str, request_digest: str, answer: Answer, at: datetime) -> Answer:
        """Keep an answer for 24 hours and return it; if one is kept already, that one is returned.

        Raises: ReusedKeyError if the key came with another request.
        """
        request = remembered.Request(key, caller, request_digest)
        with self._writing() as connection:
            given = remembered.replay(connection, request, at)
            if given is None:
                remembered.remember(connection, request, answer, at)
        return given or answer

    def write_verdict(self, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        """Keep what the monitor says as of a date; said again, the later word replaces the earlier one."""
        with self._writing() as connection:
            connection.execute(sa.delete(verdicts).where(verdicts.c.as_of == as_of))
            kept = forgotten.without_them(connection, as_of, document)
            connection.execute(sa.insert(verdicts).values(as_of=as_of, at=at, document=kept))

    def verdict(self) -> dict[str, Any] | None:
        """Return the verdict of the newest as_of, None before the first."""
        with self._reading() as connection:
            found: dict[str, Any] | None = connection.execute(_LATEST_VERDICT).scalar()
        return found

    def write_statement(self, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        """Keep the revenue statement of a day; said again, the later one replaces it."""
        with self._writing() as connection:
            revenue.write(connection, as_of, at, forgotten.without_them(connection, as_of, document))

    def statement(self) -> dict[str, Any] | None:
        """Return the revenue statement of the newest as_of, None before the first."""
        with self._reading() as connection:
            return revenue.read(connection)

    # Inside

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with say_store_error(self._engine), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with say_store_error(self._engine), writing(self._engine) as connection:
            yield connection

    def _page(
        self,
        filters: AccountFilters | None,
        order: lists.Order,
        cursor: str | None,
        limit: int,
        *,
        with_actions: bool = True,
    ) -> Page:
        filters = filters or AccountFilters()
        with self._reading() as connection:
            seen = publishing.current(connection) if cursor is None else None
            return lists.account_page(
                connection, seen, filters, order, cursor, limit, with_actions=with_actions
            )

    def _write_batches(
        self, publication: Publication, rows: Iterable[Any], tables: Sequence[sa.Table]
    ) -> int:
        here, written, rest = publication.publication_id, 0, iter(rows)
        while batch := list(islice(rest, BATCH)):
            with self._writing() as connection:
                publishing.must_be_open(connection, publication)
                batch = forgotten.without(connection, here, batch, lambda row: row.account_id)
                if not batch:
                    continue
                for table in tables:
                    names = [column.name for column in table.c if column.name != "publication_id"]
                    values = [{name: getattr(row, name) for name in names} for row in batch]
                    connection.execute(
                        sa.insert(table), [{"publication_id": here, **each} for each in values]
                    )
            written += len(batch)
        return written

    def _actions(self, *where: sa.ColumnElement[bool], order: Sequence[Any] = ()) -> list[Action]:
        question = sa.select(*happenings.COLUMNS).where(*where).order_by(*order, actions.c.action_id)
        with self._reading() as connection:
            return [Action(**row) for row in connection.execute(question).mappings()]


def _deed(word: object) -> str:
    """Return what the audit log calls a person's word."""
    return type(word).__name__.lower()


def _chunks(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk
