"""Parameters read from files of others: every value is one that the field takes, or refused."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings, strategies as st

from aexad import methods
from aexad.bench.base import params
from aexad.bench.base.errors import UserError
from aexad.bench.plan.settings import PROTOCOLS, Settings
from aexad.datasets.data_params import DataParams


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_parameters_survive_a_file(protocol):
    chosen = Settings(protocol)
    for name in methods.entries():
        for made in (chosen.fit(name), chosen.explain(name), chosen.data):
            text = json.dumps(dataclasses.asdict(made))
            assert params.from_json(type(made), json.loads(text), name) == made


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(), x, max_size=2))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([f.name for f in dataclasses.fields(DataParams)]), anything)
def test_whatever_a_file_says_is_a_valid_value_or_refused(field, value):
    values = {**dataclasses.asdict(DataParams()), field: value}
    try:
        made = params.from_json(DataParams, values, "model.json: data")
    except UserError as error:
        assert f"data.{field}" in str(error) and str(error).isprintable()
        assert len(str(error)) < 300
        return
    assert dataclasses.asdict(made) == values
    assert type(value) in (int, str, type(None)) and made.size in range(32, 4097)
