"""Evidence of a checkpoint: what tables knew of this term, what a step adds, what nobody can tell."""

from __future__ import annotations

import tomllib
from datetime import date, datetime

import pandas as pd
import pytest
from planned_company import DAY, FEATURES, RULES, days_after, row

from lifecycle_ml.actions.checkpoint_evidence import Evidence, find, hear
from lifecycle_ml.actions.checkpoints import RenewalsFile, check_renewals, renewal_of
from lifecycle_ml.errors import UserError
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

TEXT = (standard_root() / "serving" / "renewals.toml").read_text(encoding="utf-8")
MAP = Evidence(
    id="map", label="Stakeholder map", topics=("stakeholder_map",), milestones=("map_agreed",), within_days=30
)
SPOKEN, REACHED = ("touchpoint", "stakeholder_map"), ("milestone", "map_agreed")
ACCOUNTS = pd.DataFrame({"account_id": ["A", "B"], "created_at": pd.Timestamp("2025-01-01")})


def company(touchpoints=(), milestones=None):
    """Return two accounts, touchpoints (account, day, topic, known) and milestones (account, name, day)."""
    frames = {"accounts": ACCOUNTS}
    if touchpoints is not None:
        rows = [(a, pd.Timestamp(day), "meeting", topic, pd.Timestamp(k)) for a, day, topic, k in touchpoints]
        columns = ["account_id", "happened_at", "kind", "topic", "known_at"]
        frames["touchpoints"] = pd.DataFrame(rows, columns=columns)
    if milestones is not None:
        rows = [(a, name, pd.Timestamp(day), pd.Timestamp("2025-01-02")) for a, name, day in milestones]
        columns = ["account_id", "milestone", "completed_on", "known_at"]
        frames["milestones"] = pd.DataFrame(rows, columns=columns)
    return tables_from_frames(frames)


def heard(tables, as_of=DAY, known_at=None, wanted=(MAP,)):
    return hear(tables, wanted, as_of, known_at or datetime.combine(as_of, datetime.min.time()))


def test_the_last_time_a_topic_was_talked_about_is_what_counts():
    """Per account; other topics are not heard."""
    rows = [
        ("A", "2026-05-01", "stakeholder_map", "2026-05-01"),
        ("A", "2026-05-20", "stakeholder_map", "2026-05-20"),
        ("B", "2026-05-20", "pricing", "2026-05-20"),
    ]
    records = heard(company(rows, [("B", "map_agreed", "2026-04-02")]))

    assert records.of("A") == {SPOKEN: date(2026, 5, 20), REACHED: None}
    assert records.of("B") == {SPOKEN: None, REACHED: date(2026, 4, 2)}
    assert records.of("nobody spoke with them") == {SPOKEN: None, REACHED: None}


def test_what_was_entered_later_was_not_known_then():
    """A meeting of May that reached the CRM in July is no evidence in June; with a later look it is."""
    rows = [
        ("A", "2026-05-20", "stakeholder_map", "2026-07-01"),
        ("B", "2026-05-01", "pricing", "2026-05-01"),
    ]
    tables = company(rows)

    assert heard(tables).of("A") == {SPOKEN: None}
    assert heard(tables, known_at=datetime(2026, 7, 2)).of("A") == {SPOKEN: date(2026, 5, 20)}


def test_a_milestone_reached_after_the_day_is_not_known():
    """Its plan is known with the row, its end only once it came."""
    tables = company(None, [("A", "map_agreed", "2026-06-20"), ("B", "map_agreed", "2026-05-31")])

    assert heard(tables).of("A") == {REACHED: None}
    assert heard(tables).of("B") == {REACHED: date(2026, 5, 31)}


@pytest.mark.parametrize(
    "touchpoints",
    [None, [], [("A", "2026-05-01", None, "2026-05-01")], [("A", "2026-07-01", "pricing", "2026-07-01")]],
)
def test_without_topics_nobody_can_tell(touchpoints):
    """No table, no rows, no topics, none known by then: evidence from topics is unknown, not missing."""
    records = heard(company(touchpoints))

    assert records.of("A") == {}
    assert find(MAP, records.of("A"), DAY).there is None


def test_one_sign_is_enough_and_an_unknown_one_is_no_no():
    """There by either; missing only where both can be told; cannot tell where one of them cannot."""
    since = days_after(-30)

    def there(**told):
        return find(MAP, {{"topic": SPOKEN, "milestone": REACHED}[k]: v for k, v in told.items()}, since)

    assert there(topic=None, milestone=None).there is False
    assert there(topic=None).there is None
    assert there(topic=days_after(-30)).there is True
    assert there(topic=days_after(-31), milestone=None).there is False
    latest = there(topic=days_after(-20), milestone=days_after(-3))
    assert (latest.on, latest.origin) == (days_after(-3), "milestone")


def at(checkpoint, topic, day, **values):
    """Return the evidence of a checkpoint of an account that talked about a topic on a day."""
    known = {("touchpoint", name): None for each in RULES.renewals.evidence for name in each.topics}
    account = {"days_to_renewal": 100, "term_days": 365, **values}
    renewal = renewal_of(
        row(checkpoint_evidence={**known, ("touchpoint", topic): day}, **account), DAY, RULES.renewals
    )
    dated = next(each for each in renewal.checkpoints if each.checkpoint == checkpoint)
    (found,) = renewal.evidence(dated)
    return found


def test_evidence_counts_from_so_many_days_before_the_checkpoint():
    """The 120-day checkpoint fell 20 days ago, its evidence counts from 180 days before that."""
    assert at(120, "value_review", days_after(-200)).there is True
    assert at(120, "value_review", days_after(-201)).there is False
    assert at(120, "pricing", days_after(-10)).there is False


def test_evidence_of_the_last_term_is_none_of_this_one():
    """The term began 265 days ago, or 150; what was agreed before that was about another contract."""
    assert at(120, "value_review", days_after(-160)).there is True
    assert at(120, "value_review", days_after(-160), term_days=250).there is False


def test_without_anything_heard_nothing_is_missing():
    """A row without the column, as rules for one account may see it, is all unknown."""
    renewal = renewal_of(row(days_to_renewal=100, term_days=365), DAY, RULES.renewals)

    assert {found.there for dated in renewal.checkpoints for found in renewal.evidence(dated)} == {None}


def test_every_checkpoint_of_the_standard_workspace_wants_something():
    """Stakeholder map, value narrative, commercial path, plan, paperwork: in this order."""
    wanted = [each.id for each in RULES.renewals.evidence]

    assert wanted == ["stakeholder_map", "value_narrative", "commercial_path", "plan", "paperwork"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'step = "paperwork"',
            'step = "paperwrk"',
            "30.evidence.paperwork: no step 'paperwrk'. Did you mean 'pap",
        ),
        ('topics = ["paperwork"', 'topic = ["paperwork"', "evidence.0.topic'. Did you mean 'topics'?"),
        ("within_days = 60", "within_days = 0", "checkpoints.30.evidence.0.within_days"),
        (
            'topics = ["paperwork", "order_form"], step = "paperwork", ',
            "",
            "can be seen nowhere; name topics",
        ),
        ('{ id = "plan"', '{ id = "plan", label = "Twice", step = "decide_plan" }, { id = "plan"', "2 times"),
    ],
)
def test_wrong_evidence_fails_at_load_with_remedy(tmp_path, old, new, says):
    """With file, key and the nearest right word."""
    assert old in TEXT
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "renewals.toml").write_text(TEXT.replace(old, new), encoding="utf-8")
    workspace = Workspace(root=tmp_path, standard=standard_root())

    with pytest.raises(UserError, match=r"serving/renewals\.toml") as refused:
        check_renewals(workspace.load("serving", "renewals.toml", RenewalsFile), FEATURES, RULES.team)

    assert says in str(refused.value)


def test_checkpoints_of_an_older_file_want_nothing():
    """A renewals.toml without evidence is read as before."""
    raw = tomllib.loads(TEXT)
    for checkpoint in raw["checkpoints"].values():
        del checkpoint["evidence"]
    renewals = check_renewals(RenewalsFile.model_validate(raw), FEATURES, RULES.team)

    assert renewals.evidence == ()
    assert heard(company([]), wanted=renewals.evidence).told == {}
