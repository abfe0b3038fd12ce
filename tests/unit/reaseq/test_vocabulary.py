"""`reaseq.vocabulary`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.vocabulary import ItemVocabulary

ids = st.lists(st.text(max_size=8), unique=True, max_size=30)


@given(ids)
def test_decoding_the_codes_gives_the_ids_back(item_ids: list[str]) -> None:
    """Every item round-trips, and codes count from 1."""
    vocabulary = ItemVocabulary(item_ids)
    codes = vocabulary.encode(item_ids)
    assert codes.tolist() == list(range(1, len(item_ids) + 1))
    assert vocabulary.decode(codes) == item_ids


@given(ids, st.lists(st.text(max_size=3), max_size=20))
def test_lists_and_arrow_columns_encode_alike(item_ids: list[str], asked: list[str]) -> None:
    """A list, an array and a chunked array give the same codes, short or long."""
    vocabulary = ItemVocabulary(item_ids)
    expected = [item_ids.index(i) + 1 if i in item_ids else 0 for i in asked]
    long = asked * 1000
    assert vocabulary.encode(asked).tolist() == expected
    assert vocabulary.encode(pa.array(asked, pa.string())).tolist() == expected
    assert vocabulary.encode(pa.array(long, pa.string())).tolist() == expected * 1000
    assert vocabulary.encode(pa.chunked_array([long], pa.string())).tolist() == expected * 1000


def test_null_and_unknown_become_the_padding_code() -> None:
    """Code 0 stands for everything that is no item of the vocabulary."""
    asked = pa.array(["a", None, "nowhere"])
    assert ItemVocabulary(["a"]).encode(asked).tolist() == [1, 0, 0]


def test_a_repeated_id_is_refused() -> None:
    """Two codes for one item would split its statistics."""
    with pytest.raises(ValueError, match="repeat"):
        ItemVocabulary(["a", "a"])


@pytest.mark.parametrize("code", [0, 3, -1])
def test_a_code_that_is_no_item_is_refused(code: int) -> None:
    """Padding has no id to give back."""
    with pytest.raises(ValueError, match=r"1\.\.2"):
        ItemVocabulary(["a", "b"]).decode(np.array([code]))


def test_saving_and_loading_keeps_the_order(tmp_path: Path) -> None:
    """The codes of a loaded vocabulary are those of the saved one."""
    vocabulary = ItemVocabulary(["ü", "a", "0"])
    vocabulary.save(tmp_path)
    assert ItemVocabulary.load(tmp_path) == vocabulary
