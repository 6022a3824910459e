"""What the address of the accounts page asks for: filters, order and place; and back to an address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import urlencode

from lifecycle_ml.store.rows import AccountFilters, Sort, storable

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

PATH = "/accounts"
CHOSEN = ("health", "owner", "segment", "stage", "reason", "expansion_band")
"""Filters with values to choose from. One given twice in the address lists alternatives."""
COLORS = ("red", "yellow", "green")
WINDOWS = (30, 60, 90, 180, 365)
"""Days ahead a renewal may be looked for in."""
DESCENDING: dict[Sort, bool] = {
    "arr_at_risk": True,
    "risk": True,
    "renewal": False,
    "name": False,
    "arr": True,
}
"""Which way each order naturally goes: most money and risk first, soonest renewal first, names from A."""
USUAL: Sort = "arr_at_risk"
MOST_VALUES = 50


@dataclass(frozen=True)
class Question:
    """One question to the list of accounts. What the address says that means nothing is left out."""

    health: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    segment: tuple[str, ...] = ()
    stage: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    expansion_band: tuple[str, ...] = ()
    renewal: int | None = None
    text: str = ""
    sort: Sort = USUAL
    descending: bool = True
    cursor: str | None = None

    @classmethod
    def read(cls, asked: QueryParams) -> Question:
        """Read the address."""
        values = {
            name: tuple(
                dict.fromkeys(
                    value for value in asked.getlist(name)[:MOST_VALUES] if value and storable(value)
                )
            )
            for name in CHOSEN
        }
        values["health"] = tuple(color for color in values["health"] if color in COLORS)
        sort = cast("Sort", asked.get("sort") if asked.get("sort") in get_args(Sort) else USUAL)
        days, text = asked.get("renewal", ""), asked.get("text", "").strip()
        return cls(
            **values,
            renewal=int(days) if days in {str(each) for each in WINDOWS} else None,
            text=text if storable(text) else "",
            sort=sort,
            descending={"down": True, "up": False}.get(asked.get("order", ""), DESCENDING[sort]),
            cursor=asked.get("cursor") or None,
        )

    @property
    def narrows(self) -> bool:
        """Whether anything is filtered."""
        return any(getattr(self, name) for name in (*CHOSEN, "renewal", "text"))

    def filters(self, as_of: date) -> AccountFilters:
        """Return the filters as the store takes them; a renewal window begins at the publication's as_of."""
        return AccountFilters(
            **{name: getattr(self, name) for name in CHOSEN},
            renewal_from=as_of if self.renewal else None,
            renewal_before=as_of + timedelta(days=self.renewal + 1) if self.renewal else None,
            text=self.text or None,
        )

    def address(self, path: str = PATH, **changes: Any) -> str:
        """Return the address of this question with changes; a changed question starts at its first page."""
        return _join(path, replace(self, **{"cursor": None, **changes}).fields())

    def fields(self) -> list[tuple[str, str]]:
        """Return what the address must say, leaving out what goes without saying."""
        said = [(name, value) for name in CHOSEN for value in getattr(self, name)]
        if self.renewal:
            said.append(("renewal", str(self.renewal)))
        if self.text:
            said.append(("text", self.text))
        if self.sort != USUAL:
            said.append(("sort", self.sort))
        if self.descending != DESCENDING[self.sort]:
            said.append(("order", "down" if self.descending else "up"))
        if self.cursor:
            said.append(("cursor", self.cursor))
        return said

    def sorted_by(self, sort: Sort) -> str:
        """Return the address of this list in another order; the order it has already is turned round."""
        turned = not self.descending if sort == self.sort else DESCENDING[sort]
        return self.address(sort=sort, descending=turned)

    def of_color(self, color: str | None) -> str:
        """Return the address of this list for one colour; asked of the one it has, for all of them."""
        return self.address(health=() if color is None or self.health == (color,) else (color,))

    def narrowings(self) -> list[tuple[str, str, str]]:
        """Return each filter but the colour as (name, value, address of the list without it)."""
        found = []
        for name in CHOSEN[1:]:
            values: tuple[str, ...] = getattr(self, name)
            for value in values:
                others: dict[str, Any] = {name: tuple(each for each in values if each != value)}
                found.append((name, value, self.address(**others)))
        if self.renewal:
            found.append(("renewal", f"within {self.renewal} days", self.address(renewal=None)))
        if self.text:
            found.append(("search", self.text, self.address(text="")))
        return found


def _join(path: str, fields: list[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(fields)}" if fields else path
