"""Where the parts of the drawings go."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lifecycle_ml.service.pages import charts

START = date(2026, 1, 5)


def readings(*risks, colors=None, every=7):
    """Short readings, the oldest first; a word for a risk means a band without probability."""
    return [
        {
            "as_of": str(START + timedelta(days=every * at)),
            "probability": None if isinstance(risk, str) else risk,
            "band": risk if isinstance(risk, str) else "low",
            "color": colors[at] if colors else "green",
        }
        for at, risk in enumerate(risks)
    ]


@pytest.mark.parametrize("values", [{}, {"red": 0}, {"red": 0, "green": 0.0}])
def test_nothing_is_an_empty_bar(values):
    """No division by nothing, and no part of width nought."""
    assert charts.stacked(values) == []


@given(some.dictionaries(some.sampled_from(charts.COLORS), some.floats(1, 1e9), min_size=1))
def test_a_stacked_bar_is_full_and_its_parts_touch(values):
    """The parts follow one another from the worst colour on and end at a hundred."""
    parts = charts.stacked(values)

    assert [part.color for part in parts] == [color for color in charts.COLORS if color in values]
    assert parts[0].start == 0
    assert parts[-1].start + parts[-1].width == pytest.approx(100, abs=0.05)
    for before, after in pairwise(parts):
        assert before.start + before.width == pytest.approx(after.start, abs=0.02)


def test_one_reading_is_no_line():
    """A history needs two points."""
    assert charts.line(readings(0.2)) is None
    assert charts.line([]) is None


@given(some.lists(some.floats(0, 1), min_size=2, max_size=150), some.integers(1, 40))
def test_every_dot_lies_within_the_drawing_and_higher_risk_lies_higher(risks, every):
    """Whatever the risks and however far apart the readings."""
    drawn = charts.line(readings(*risks, every=every))

    assert len(drawn.dots) <= charts.MOST_READINGS
    assert drawn.dots[-1].as_of == str(START + timedelta(days=every * (len(risks) - 1)))
    for dot in drawn.dots:
        assert 0 <= dot.x <= drawn.width
        assert 0 <= dot.y <= drawn.foot
    shown = [
        next(risk for at, risk in enumerate(risks) if str(START + timedelta(days=every * at)) == dot.as_of)
        for dot in drawn.dots
    ]
    order = sorted(range(len(shown)), key=lambda at: shown[at])
    heights = [drawn.dots[at].y for at in order]
    assert heights == sorted(heights, reverse=True)
    assert 2 <= len(drawn.ticks) <= 6
    assert len(drawn.months) <= 8


def test_readings_by_rules_are_drawn_by_band():
    """One reading without a probability is enough: two scales on one axis would lie."""
    drawn = charts.line(readings("low", 0.5, "high"))

    assert [tick.label for tick in drawn.ticks] == ["low", "medium", "high"]
    assert drawn.dots[0].y > drawn.dots[2].y
    assert drawn.dots[2].says == "band high"


def test_neighbours_of_one_colour_are_one_stretch_that_ends_where_the_next_begins():
    """The foot of the drawing shows episodes."""
    drawn = charts.line(readings(0.1, 0.2, 0.3, 0.2, colors=["green", "red", "red", "yellow"]))

    assert [span.color for span in drawn.spans] == ["green", "red", "yellow"]
    assert drawn.spans[1].x == drawn.dots[1].x
    assert drawn.spans[1].x + drawn.spans[1].width == pytest.approx(drawn.dots[3].x)


def test_thinning_keeps_the_newest_and_spreads_evenly():
    """Two hundred nights become at most sixty dots."""
    thinned = charts.thinned(readings(*[0.1] * 200))

    assert 30 <= len(thinned) <= charts.MOST_READINGS
    assert thinned[-1]["as_of"] == str(START + timedelta(days=7 * 199))
    assert charts.thinned([]) == []


def renewal(ends=120, notice=None, checkpoints=()):
    """A renewal document, in days from the start."""
    return {
        "renewal_on": str(START + timedelta(days=ends)),
        "notice_on": None if notice is None else str(START + timedelta(days=notice)),
        "checkpoints": [
            {"checkpoint": name, "falls_on": str(START + timedelta(days=day)), "state": state}
            for name, day, state in checkpoints
        ],
    }


def test_the_way_to_a_renewal_has_everything_in_order():
    """Checkpoints behind and ahead, today, notice and the renewal at its end."""
    way = charts.way(renewal(120, 60, [(120, -60, "past"), (60, 0, "now"), (30, 30, "ahead")]), START)

    assert [mark.kind for mark in way.marks] == ["past", "now", "ahead", "notice", "renewal"]
    assert [mark.x for mark in way.marks] == sorted(mark.x for mark in way.marks)
    assert (way.marks[0].x, way.marks[-1].x) == (way.left, way.right)
    assert way.behind == way.marks[1].x


@given(
    some.integers(-30, 400),
    some.none() | some.integers(-60, 400),
    some.lists(
        some.tuples(some.sampled_from([180, 90]), some.integers(-300, 400), some.just("ahead")), max_size=5
    ),
)
def test_every_mark_of_any_renewal_lies_on_the_line(ends, notice, checkpoints):
    """A renewal that passed, notice after it, all on one day: contradictions are drawn, not hidden."""
    way = charts.way(renewal(ends, notice, checkpoints), START)

    for at in [way.behind, *(mark.x for mark in way.marks)]:
        assert way.left <= at <= way.right


@pytest.mark.parametrize(("notice", "label"), [(115, ""), (90, "notice"), (120, None)])
def test_words_that_would_run_into_one_another_are_left_out(notice, label):
    """Notice on the day of the renewal is no mark of its own; right before it, one without a word."""
    marks = charts.way(renewal(120, notice), START).marks

    assert [mark.label for mark in marks if mark.kind == "notice"] == ([] if label is None else [label])


def test_a_renewal_without_a_day_is_not_drawn():
    """Nothing to draw."""
    assert charts.way({"renewal_on": None, "notice_on": None, "checkpoints": []}, START) is None
