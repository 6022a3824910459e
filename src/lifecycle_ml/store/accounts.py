"""What readers see of accounts: one, some, page by page, and all of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lifecycle_ml.store import lists, publishing
from lifecycle_ml.store import reviews as reviewing
from lifecycle_ml.store import said as spoken
from lifecycle_ml.store.access import Access, in_parts
from lifecycle_ml.store.at_hand import AtHand
from lifecycle_ml.store.rows import AccountFilters, Mix, Page, Past

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date

    import sqlalchemy as sa

    from lifecycle_ml.store.rows import Listed, Publication, Sort

STREAMED: Final = 1_000
"""Accounts held at a time where all are given out."""


class Accounts(Access):
    """The readings of accounts, with what people did and said since."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self._at_hand = AtHand(engine)

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
            for ids in in_parts(dict.fromkeys(account_ids)):
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

    def meant_by(self, text: str) -> str:
        """Return ` Did you mean A-1042 (Acme)?` for what is no account_id; empty where nothing is like it.

        Names and ids of the current publication that hold the text are meant, else those that hold its last
        word: `A-142` may be A-0142.
        """
        for part in (text.strip(), *re.findall(r"\w+", text)[-1:]):
            rows = self.list_accounts(AccountFilters(text=part), "name", limit=4).rows if part else []
            others = [row for row in rows if row.account_id != text]
            if others:
                named = [f"{row.account_id} ({row.name})" if row.name else row.account_id for row in others]
                return f" Did you mean {', or '.join(named[:3])}{', or another' if len(named) > 3 else ''}?"
        return ""

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

    def reviewable(self, owner: str | None = None, segment: str | None = None) -> list[reviewing.Reviewable]:
        """Return the accounts readers see that are red, at a checkpoint or triggered, by account_id."""
        with self._reading() as connection:
            seen = publishing.current(connection)
            here = None if seen is None else seen.publication_id
            return [] if here is None else reviewing.reviewable(connection, here, owner, segment)

    def renewals_as_told(self, renewals: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return renewals (documents by account) with what was done and said at each checkpoint."""
        with self._reading() as connection:
            words = spoken.checkpoints(connection, renewals)
        return {account_id: words.add_to(account_id, one) for account_id, one in renewals.items()}

    def renewal(self, account_id: str, as_of: date | None = None) -> dict[str, Any] | None:
        """Return the renewal ahead of an account as `renewals_as_told` does, None where there is none."""
        with self._reading() as connection:
            return spoken.told_renewal(connection, account_id, as_of)

    def onboarding_start(
        self, account_id: str, as_of: date | None = None, *, among: Publication | None = None
    ) -> list[dict[str, Any]]:
        """Return what must be true before an account's onboarding starts; [] where nobody asks any more.

        Of the current publication, of the latest one for `as_of`, or of `among`.
        """
        with self._reading() as connection:
            if among is not None:
                seen: Publication | None = among
            elif as_of is None:
                seen = publishing.current(connection)
            else:
                seen = publishing.latest_for(connection, as_of)
            return lists.onboarding_start(connection, seen, account_id)

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
