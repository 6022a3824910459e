"""How the account got started: the plan that was agreed and what became of it."""

from lifecycle_ml import IN_FORCE, Feature, count, days_since, first_of, greatest, largest, share, total
from lifecycle_ml.matrix.measures import only_if

KICKOFF = "milestone = 'kickoff' AND (due_on IS NOT NULL OR completed_on IS NOT NULL)"
has_activation = count("milestones", where="is_activation")
tenure = days_since("accounts")
seats = total("contracts", "seats", where=IN_FORCE)

FEATURES = (
    Feature(
        name="success_owner_named",
        value=largest("accounts", "csm_owner IS NOT NULL"),
        unit="yes/no",
        null_means="unknown",
        direction="none",
        category="context",
        # About our records, not about the customer.
        for_model=False,
        says="Somebody of customer success is named for the account",
        says_no="Nobody of customer success is named for the account",
    ),
    Feature(
        name="kickoffs_planned",
        value=count("milestones", where=KICKOFF),
        unit="milestones",
        null_means="unknown",
        direction="none",
        category="context",
        for_model=False,
        says="{value} kickoffs have a date",
        says_one="The kickoff has a date",
        says_no="No kickoff has a date",
    ),
    Feature(
        name="milestones_overdue",
        value=count("milestones", where="completed_on IS NULL AND due_on < as_of"),
        unit="milestones",
        null_means="unknown",
        direction="raises",
        category="failed_onboarding",
        movable=True,
        says="{value} onboarding milestones are overdue",
        says_one="1 onboarding milestone is overdue",
    ),
    Feature(
        name="milestones_completed_share",
        value=share("milestones", where="completed_on IS NOT NULL", of="due_on < as_of"),
        unit="share",
        null_means="not_applicable",
        direction="lowers",
        category="failed_onboarding",
        movable=True,
        says="{value} of the onboarding milestones due so far are completed",
    ),
    Feature(
        name="activation_overdue_days",
        # Only a milestone still open is overdue, so that finishing it, late or not, brings this back to 0.
        value=only_if(
            first_of(
                largest(
                    "milestones",
                    "greatest(days_between(due_on, as_of), 0)",
                    where="is_activation AND completed_on IS NULL",
                ),
                0,
            ),
            has_activation,
        ),
        unit="days",
        null_means="not_applicable",
        direction="raises",
        category="failed_onboarding",
        movable=True,
        says="Activation is {value} days overdue",
        says_one="Activation is 1 day overdue",
    ),
    Feature(
        name="activated",
        value=largest("milestones", "completed_on IS NOT NULL", where="is_activation"),
        unit="yes/no",
        null_means="not_applicable",
        direction="lowers",
        category="failed_onboarding",
        movable=True,
        says="Activation was achieved",
        says_no="Activation has not been achieved",
    ),
    Feature(
        name="trainings_84d",
        value=count("touchpoints", where="kind = 'training'", days=84),
        unit="trainings",
        null_means="unknown",
        direction="lowers",
        category="failed_onboarding",
        movable=True,
        says="{value} trainings held in the last 84 days",
        says_one="1 training held in the last 84 days",
    ),
    Feature(
        name="days_to_activation",
        # Some start before the account is written down.
        value=only_if(
            greatest(tenure - days_since("milestones", "completed_on", where="is_activation"), 0),
            count("milestones", where="is_activation AND completed_on IS NOT NULL"),
        ),
        unit="days",
        null_means="not_applicable",
        direction="raises",
        category="failed_onboarding",
        says="Activation took {value} days",
        says_one="Activation took 1 day",
        says_no="Activation was achieved on the first day",
    ),
    Feature(
        name="onboarding_standstill_days",
        # Of a finished onboarding nothing is expected.
        value=only_if(
            first_of(days_since("milestones", "completed_on"), tenure),
            count("milestones", where="completed_on IS NULL"),
        ),
        unit="days",
        null_means="not_applicable",
        direction="raises",
        category="failed_onboarding",
        movable=True,
        says="Onboarding is not finished, and no milestone was reached for {value} days",
        says_one="Onboarding is not finished; the last milestone was reached yesterday",
    ),
    Feature(
        name="trainings_per_seat_364d",
        value=count("touchpoints", where="kind = 'training'", days=364) / seats,
        unit="trainings per seat",
        null_means="unknown",
        direction="lowers",
        category="failed_onboarding",
        movable=True,
        says="{value} trainings per seat in the last 364 days",
    ),
)
