"""How many requests one address may make; pictures apart, of which an office has many."""

from __future__ import annotations

from collections.abc import Callable

from aws_cdk import aws_wafv2 as waf

REQUESTS = 6_000
"""Of one address in five minutes, besides thumbnails; a dashboard makes a few."""
PICTURES = "/thumbnail"
"""How the paths of thumbnails end."""
OFFICE_PEOPLE = 50
PAGES_EACH = 8
"""Pages of a gallery that each of them scrolls through in five minutes."""
PAGE_PICTURES = 500
"""dashboard/src/brand/assetPager.svelte.ts."""
PICTURE_REQUESTS = OFFICE_PEOPLE * PAGES_EACH * PAGE_PICTURES
"""Thumbnails of one address in five minutes."""
LIMITS = {"rate": REQUESTS, "pictures": PICTURE_REQUESTS}
"""By the name of the rule."""

Visible = Callable[[str], waf.CfnWebACL.VisibilityConfigProperty]


def rate_rules(visible: Visible) -> list[waf.CfnWebACL.RuleProperty]:
    """Return the rules, which come before all others."""
    pictures = waf.CfnWebACL.StatementProperty(
        byte_match_statement=waf.CfnWebACL.ByteMatchStatementProperty(
            field_to_match=waf.CfnWebACL.FieldToMatchProperty(uri_path={}),
            positional_constraint="ENDS_WITH",
            search_string=PICTURES,
            text_transformations=[
                waf.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")
            ],
        )
    )
    others = waf.CfnWebACL.StatementProperty(
        not_statement=waf.CfnWebACL.NotStatementProperty(statement=pictures)
    )
    counts = {"rate": others, "pictures": pictures}
    return [
        waf.CfnWebACL.RuleProperty(
            name=name,
            priority=priority,
            action=waf.CfnWebACL.RuleActionProperty(block={}),
            statement=waf.CfnWebACL.StatementProperty(
                rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                    limit=limit, aggregate_key_type="IP", scope_down_statement=counts[name]
                )
            ),
            visibility_config=visible(name),
        )
        for priority, (name, limit) in enumerate(LIMITS.items())
    ]
