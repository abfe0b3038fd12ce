"""The list of views says all that the feature store needs, and nothing that it cannot hold."""

from __future__ import annotations

import pyarrow as pa
import pytest

from reaseq.feature_views import VIEWS, ViewSpec

HELD = {pa.string(), pa.int64(), pa.float64()} | {
    pa.list_(inner) for inner in (pa.string(), pa.int64(), pa.float64())
}


def test_names_and_services_are_distinct() -> None:
    """Two views of one name would overwrite each other's rows."""
    assert len({view.name for view in VIEWS}) == len({view.service for view in VIEWS}) == len(VIEWS)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_can_be_stored_and_ordered(view: ViewSpec) -> None:
    """Its key is an entity, its time and revision are numbers that are never null."""
    assert view.key in ("user_id", "item_id")
    assert view.schema.field(view.key).type == pa.string()
    for name in filter(None, (view.time, view.revision)):
        field = view.schema.field(name)
        assert (field.type, field.nullable) == (pa.int64(), False)
    assert {field.type for field in view.schema} <= HELD
    assert view.features == [name for name in view.schema.names if name != view.key]
    assert view.description.endswith(".")
