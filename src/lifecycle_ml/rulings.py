"""Which rules fired for one account, asked of tables, models, health, actions and the ledger together."""

from __future__ import annotations

from contextlib import closing
from datetime import date, datetime

from lifecycle_ml.actions.rule_words import RuleWords
from lifecycle_ml.actions.rulings import Ruling, Standing, rule_on
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.readings import finished_lately, read_afresh
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.store import Store
from lifecycle_ml.workspace import Workspace


def rulings_on(
    workspace: Workspace, settings: Settings, account: str, as_of: date, now: datetime
) -> list[Ruling]:
    """Hold every rule of serving/ against one account as of a date; nothing is written.

    The account is read afresh from the source, scored with what the publication readers see was scored with;
    its actions are those of the store, what people did since included.
    Raises: ConfigError where the account is no customer then.
    """
    found = read_afresh(workspace, settings, [account], as_of, now)
    row = found.readings.scored
    states, actions = found.readings.states, found.rules.actions
    with closing(Store.open(settings.store_url)) as store:
        if row.empty:
            raise ConfigError(
                f"account {account!r} is no customer as of {as_of}, so no rule is asked about it."
                f"{store.meant_by(account)}"
            )
        kept, ended = store.open_actions(), finished_lately(store, states, actions, now)
    churn, before = found.rules.churn, found.past.get(account)
    standing = Standing(
        row=row,
        state=states[account],
        before=None if before is None else before.stage,
        base_rate=churn.base_rates[churn.headline],
        kept=kept,
        ended=ended,
        now=now,
    )
    return rule_on(standing, found.rules.health, actions, RuleWords(found.rules.features))
