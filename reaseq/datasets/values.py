"""SQL of identifiers and numbers as other people's files write them."""

from __future__ import annotations

from reaseq.datasets.relation import literal

MISSING = (
    *("", "None", "undefined", "(not set)", "NULL", "null", "NA", "N/A", "<NA>"),
    *("nan", "NaN", "NAN"),
)
"""What files hold where there is no value; compared without surrounding blanks, of any script."""

NUMBER_MACROS = r"""
CREATE MACRO without_currency(t) AS regexp_replace(regexp_replace(t,
    '[\s''’\x{A0}\x{202F}€$£¥]', '', 'g'), '^[A-Za-z]{2,3}|[A-Za-z]{2,3}$', '');
CREATE MACRO spelled_number(t) AS TRY_CAST(CASE
    WHEN regexp_full_match(t, '[+-]?\d{1,3}(,\d{3})+(\.\d+)?') THEN replace(t, ',', '')
    WHEN regexp_full_match(t, '[+-]?\d{1,3}(\.\d{3})+,\d+|[+-]?\d{1,3}(\.\d{3}){2,}')
        THEN replace(replace(t, '.', ''), ',', '.')
    WHEN regexp_full_match(t, '[+-]?\d+,\d+') THEN replace(t, ',', '.')
    WHEN regexp_full_match(t, '[+-]?(\d+\.?\d*|\.\d+)') THEN t
    END AS DOUBLE);
CREATE MACRO number(x) AS CASE
    WHEN isfinite(TRY_CAST(x AS DOUBLE)) THEN TRY_CAST(x AS DOUBLE)
    ELSE spelled_number(without_currency(CAST(x AS VARCHAR))) END;
"""
"""`number(x)`: "12.5", "1,049.00", "1.049,00", "12,50", "£3", "12.50 EUR" as DOUBLE, else NULL.

One comma before exactly three digits separates thousands, any other single comma decimals.
"""


def text_sql(expression: str, kind: str) -> str:
    """SQL of an expression of DuckDB type `kind` as text, NULL where it says that it is missing.

    Text stays as written. A whole number that was stored as a float, because a value was missing
    beside it, is written without ".0".
    """
    text = f"CAST(({expression}) AS VARCHAR)"
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"CAST(TRY_CAST(({expression}) AS HUGEINT) AS VARCHAR)"
        text = f"CASE WHEN ({expression}) = trunc({expression}) THEN {whole} ELSE {text} END"
    missing = ", ".join(literal(value) for value in MISSING)
    return f"CASE WHEN trim({text}) NOT IN ({missing}) THEN {text} END"
