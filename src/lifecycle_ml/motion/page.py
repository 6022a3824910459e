"""The motion as one page that people can print, argue over and agree on."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from lifecycle_ml.motion.parts import role_in_words

if TYPE_CHECKING:
    from lifecycle_ml.motion.parts import Motion, Part


def render(motion: Motion) -> str:
    """Return the page: self-contained HTML, nothing is fetched."""
    counts = motion.counts
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    parts = "\n".join(_part(number, part) for number, part in enumerate(motion.parts, start=1))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The lifecycle motion</title>{_STYLE}</head>
<body><main>
<h1>The lifecycle motion</h1>
<p class="says">Ten parts a company has to agree on before scores turn into work: {escape(said)}.</p>
{parts}
<p class="foot">Written by <code>lifecycle check motion</code> from the files named; change a file and write
the page again.</p>
</main></body></html>
"""


def _part(number: int, part: Part) -> str:
    agreed = "".join(f"<li>{escape(_sentence(line))}</li>" for line in part.defined)
    wanting = "".join(
        f'<li class="{kind}">{escape(_sentence(line))}</li>'
        for kind, lines in (("against", part.contradicts), ("missing", part.missing))
        for line in lines
    )
    where = ", ".join(f"<code>{escape(place)}</code>" for place in part.where) or "nowhere"
    owner = "nobody" if part.owner is None else role_in_words(part.owner)
    standard = " &middot; as in the standard workspace" if part.standard else ""
    state = f'<span class="state">{part.state}</span>'
    return f"""<section class="{part.state}">
<h2><span class="number">{number}</span> {escape(part.title)}{state}</h2>
{f'<ul class="wanting">{wanting}</ul>' if wanting else ""}
{f'<ul class="agreed">{agreed}</ul>' if agreed else ""}
<p class="where">Owner: <b>{escape(owner)}</b> &middot; {where}{standard}</p>
</section>"""


def _sentence(line: str) -> str:
    text = line.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


_STYLE: Final = """<style>
body { margin: 0; color: #1a1a1a; background: #fff; font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 66rem; margin: 1.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin: 0; } .says { font-size: 1.05rem; margin: .3rem 0 1.2rem; color: #444; }
section { border: 1px solid #ddd; border-left: 5px solid #2d7d46; border-radius: 6px; padding: .6rem 1rem;
  margin: 0 0 .7rem; break-inside: avoid; }
h2 { font-size: 1.05rem; margin: 0; display: flex; gap: .6rem; align-items: baseline; }
.number { color: #777; font-variant-numeric: tabular-nums; min-width: 1.2rem; }
.state { margin-left: auto; font-size: .8rem; font-weight: 600; color: #2d7d46; }
ul { margin: .35rem 0; padding-left: 1.9rem; } li { margin: .1rem 0; }
.agreed { columns: 2; column-gap: 2rem; } .agreed li { break-inside: avoid; }
.wanting { list-style: none; padding-left: .8rem; } .wanting li { padding: .2rem .6rem; border-radius: 4px; }
.missing > .where, .where { color: #666; font-size: .82rem; margin: .3rem 0 0; }
li.missing { background: #fff5d6; } li.against { background: #fde3e1; }
section.incomplete, section.missing { border-left-color: #c98a00; }
section.contradictory { border-left-color: #b3261e; }
section.incomplete .state, section.missing .state { color: #8a5f00; }
section.contradictory .state { color: #b3261e; }
code { font-size: .92em; } .foot { color: #666; font-size: .82rem; }
@media (max-width: 45rem) { .agreed { columns: 1; } }
@media print { main { margin: 0; } section { border-color: #999; } }
</style>"""
