"""CodeCarbon readings: added up, marked when they are nothing."""

from __future__ import annotations

import time

import pytest

from aexad.bench.base.errors import UserError
from aexad.bench.measure.energy import MISSING, ZERO, Meter, check_country


def test_a_reading_has_energy_and_the_countrys_grams():
    readings = {}
    for country in ("ITA", "POL"):
        with Meter(country) as meter:
            time.sleep(0.3)
            inside = meter.reading()
        readings[country] = meter.reading()
        assert 0 < inside.kwh <= readings[country].kwh and inside.seconds >= 0.3
    italy, poland = readings.values()
    assert italy.problem is None and italy.mode != "unknown" and italy.codecarbon
    # grams per kWh is the country's: a constant, whatever was measured
    assert 200 < italy.grams / italy.kwh < 500 < poland.grams / poland.kwh


def test_earlier_parts_are_added():
    before = {"kwh": 1.0, "grams": 300.0, "seconds": 50.0, "problem": None, "shared": True}
    with Meter("ITA", before=before) as meter:
        time.sleep(0.1)
    total = meter.reading()
    assert 1.0 < total.kwh < 1.001 and total.grams > 300 and 50.1 <= total.seconds < 60
    assert total.shared


@pytest.mark.parametrize("energy, problem", [(0.0, ZERO), (None, MISSING), (float("nan"), ZERO)])
def test_nothing_read_is_marked(energy, problem):
    with Meter("ITA") as meter:
        pass
    meter._data = None if energy is None else type(
        "Data", (), {"energy_consumed": energy, "emissions": 0.0})()
    assert meter.reading().problem == problem


def test_country_codes():
    assert check_country("fra") == "FRA"
    with pytest.raises(UserError, match="no energy mix"):
        check_country("ITX")
