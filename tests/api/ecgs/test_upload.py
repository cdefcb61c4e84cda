"""`POST /ecgs`: what is stored, and its response."""

from __future__ import annotations

from tests.support.ecg_calls import LEADS, SIGNAL, Person


def test_an_uploaded_ecg_is_read_as_it_was_sent(asha: Person) -> None:
    response = asha.post({"date": "2026-01-31T12:00:00.25+02:00", "leads": LEADS})
    assert response.status_code == 201
    ecg_id = response.json()["ecg_id"]
    date = "2026-01-31T10:00:00.250000Z"
    assert response.json() == {"ecg_id": ecg_id, "date": date}
    assert response.headers["location"] == f"/ecgs/{ecg_id}"
    assert asha.call("GET", response.headers["location"]).json() == {
        "ecg_id": ecg_id,
        "date": date,
        "leads": [
            {"name": "I", "number_of_samples": 10, "signal": SIGNAL},
            {"name": "aVR", "number_of_samples": 2, "signal": [2, -5]},
        ],
    }
    print(asha.get(f"/{ecg_id}/insights"), asha.get(""))
    print(asha.call("GET", f"/ecgs/{ecg_id}/plot.svg").headers, asha.call("DELETE", f"/ecgs/{ecg_id}").json())
