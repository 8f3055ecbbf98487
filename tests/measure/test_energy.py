"""CodeCarbon readings: added up, marked when they are nothing."""

from __future__ import annotations

import time

import pytest

from aexad.bench.base.errors import UserError
from aexad.bench.measure.energy import MISSING, ZERO, Meter, cannot_start, check_country


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


def grams_per_kwh() -> tuple[float, str]:
    with Meter("ITA") as meter:
        time.sleep(0.2)
    reading = meter.reading()
    assert reading.problem is None
    return reading.grams / reading.kwh, reading.mode


@pytest.mark.parametrize("where", ["home", "here", "CODECARBON_", "codecarbon_"])
@pytest.mark.parametrize("settings", [
    {"pue": "10", "force_cpu_power": "9000"}, {"force_carbon_intensity_g_co2e_kwh": "1"},
    {"cloud_provider": "gcp", "cloud_region": "europe-west1"}, {"tracking_mode": "nonsense"},
    {"output_dir": "/no/such/folder"}, {"country_iso_code": "FRA", "region": "nowhere"}])
def test_a_users_codecarbon_settings_have_no_effect(tmp_path, monkeypatch, where, settings):
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    plain = grams_per_kwh()
    if where in ("home", "here"):
        place = tmp_path / "home" if where == "home" else tmp_path
        (place / ".codecarbon.config").write_text(
            "[codecarbon]\n" + "".join(f"{k}={v}\n" for k, v in settings.items()))
    else:
        for name, value in settings.items():
            monkeypatch.setenv(where + (name.upper() if where.isupper() else name), value)
    found = grams_per_kwh()
    assert found == (pytest.approx(plain[0]), plain[1])


@pytest.mark.parametrize("content", [b"no section\n", b"[codecarbon]\npue=\xff\n",
                                     b"[codecarbon\n"])
def test_a_broken_config_file_has_no_effect(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".codecarbon.config").write_bytes(content)
    grams_per_kwh()


def test_no_working_folder_and_no_home_have_no_effect(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.delenv("HOME")
    grams_per_kwh()


@pytest.mark.parametrize("error", [PermissionError(13, "not allowed"), RuntimeError("no\nsensor")])
@pytest.mark.parametrize("what", ["OfflineEmissionsTracker._ensure_hardware_ready",
                                  "set_logger_format"])
def test_why_codecarbon_did_not_start_is_in_the_reading(monkeypatch, capsys, error, what):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(f"codecarbon.emissions_tracker.{what}", fail)
    with Meter("ITA") as meter:
        pass
    problem = meter.reading().problem
    assert problem.startswith(f"{MISSING}: CodeCarbon did not start ({type(error).__name__}: ")
    assert "\n" not in problem and cannot_start("ITA") == meter.cause
    assert capsys.readouterr() == ("", "")


def test_where_it_starts_nothing_is_said(capsys):
    assert cannot_start("ITA") == "" and capsys.readouterr() == ("", "")
