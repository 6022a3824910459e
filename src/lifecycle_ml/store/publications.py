"""Writing publications, and which of them readers see."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from lifecycle_ml.store import colors as past_colors
from lifecycle_ml.store import events as happenings
from lifecycle_ml.store import forgotten, publishing
from lifecycle_ml.store.access import Access
from lifecycle_ml.store.rows import OnboardingStart, Unscored
from lifecycle_ml.store.schema import listings, onboarding_starts, readings, unscored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from lifecycle_ml.actions.action import ActionEvent
    from lifecycle_ml.store.rows import Before, Kind, Publication, StoredReading

BATCH: Final = 2_000
"""Readings written per statement; each batch is its own transaction, so others can write in between."""


class Publications(Access):
    """Complete nightly results, each seen whole or not at all."""

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

    def colors(self, days: Collection[date]) -> dict[date, dict[str, str]]:
        """Return, by as_of, the colours of accounts in the newest publication beside each of `days`."""
        with self._reading() as connection:
            return past_colors.colors(connection, days)

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
