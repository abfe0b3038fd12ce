"""Six answers that nothing speaks against."""

from __future__ import annotations

GOOD = {
    "what": "a stoneware cup for hot drinks",
    "who": "people who drink tea",
    "when": "at breakfast",
    "where": "at home or in the office",
    "why": "to keep a drink warm",
    "with_what": "a saucer and a spoon",
}
