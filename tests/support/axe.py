"""axe (WCAG 2.2 A and AA) on a page as it is, light and dark, wide and phone."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

from playwright.sync_api import Page, ViewportSize

from tests.support.dashboard import ROOT

AXE = ROOT / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
GRAVE = {"serious", "critical"}
SIZES: dict[str, ViewportSize] = {
    "wide": {"width": 1280, "height": 860},
    "phone": {"width": 390, "height": 844},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
GO = """
(path) => {
  history.pushState(null, '', path);
  dispatchEvent(new PopStateEvent('popstate'));
}
"""
"""Another view without another load: axe stays, and what it has compiled."""
CHECK = """
async (tags) => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  const options = {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']};
  return (await axe.run(document, options)).violations;
}
"""


def check(page: Page, name: str) -> list[str]:
    """Return what is gravely wrong with the page as it is, in every size and scheme."""
    wrong = []
    for size, scheme in product(SIZES, SCHEMES):
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=scheme)
        violations: Any = page.evaluate(CHECK, RULES)
        wrong += [
            f"{name}, {size}, {scheme}: {found['id']}, {node['target']}: {node['failureSummary']}"
            for found in violations
            if found["impact"] in GRAVE
            for node in found["nodes"]
        ]
    return wrong
