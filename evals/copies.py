"""Room `copies`: edits of photographs that are harder than those of the room `duplicates`."""

from __future__ import annotations

from evals.edits import MORE_EDITS
from evals.page import Findings
from evals.pairs import RATE, Shown, compare, edited
from evals.photos import jpeg, reduced
from evals.sources import photographs

ABOUT = """
{count} photographs of the npm package tabler-ui, at most 1280 pixels a side, and twelve edits of
each, all in one brand. No threshold was chosen on them. Recall: of how many edits the verdict on
the edit and its original is *copy*. False pairs: different photographs whose verdict is *copy*; a
collage and a page, which show two photographs, count as copies of the larger one only, and pairs
with the other one are left out. Cosine: at the threshold that lets a share of {rate:g} of the
different pairs through.
"""


def measure() -> Findings:
    """Return recall by edit and the false pairs."""
    originals = [Shown(jpeg(reduced(path)), name) for name, path in photographs().items()]
    pictures = list(originals)
    for at, one in enumerate(originals):
        pictures += edited(one, originals[at - 1], MORE_EDITS)
    about = ABOUT.format(count=len(originals), rate=RATE)
    return Findings("Copies that are harder to find", about, compare("photographs", pictures, ""))
