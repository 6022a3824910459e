"""The work that is over capacity, with who would do it had they the hours."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from lifecycle_ml.actions.action import NAMED_BY
from lifecycle_ml.actions.next_hour import Waiting
from lifecycle_ml.store import publishing
from lifecycle_ml.store.schema import actions, listings

_LISTED: Final = tuple(role for role, column in NAMED_BY.items() if column == "owner")
"""Roles whose person is the owner a list shows for the account."""


def waiting(connection: sa.Connection) -> list[Waiting]:
    """Return the work over capacity, with the person the account names for it as of the current publication.

    Only customer success managers are named by the account in what the store keeps; the work of other roles
    is anybody's of the role.
    """
    seen = publishing.current(connection)
    here = sa.and_(
        listings.c.account_id == actions.c.account_id,
        listings.c.publication_id == (-1 if seen is None else seen.publication_id),
    )
    question = (
        sa.select(
            actions.c.owner_role,
            sa.case((actions.c.owner_role.in_(_LISTED), listings.c.owner)).label("owner"),
            actions.c.owner.label("lead"),
            actions.c.hours,
            actions.c.arr_kept_per_hour,
        )
        .select_from(actions.outerjoin(listings, here))
        .where(actions.c.status == "over_capacity")
        .order_by(actions.c.action_id)
    )
    return [Waiting(*row) for row in connection.execute(question)]
