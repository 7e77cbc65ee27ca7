"""A simulation's results as text and as a document."""

from __future__ import annotations

import json

import pytest

from gapura.learn import report
from gapura.learn.scenario import Fault, Scenario
from gapura.learn.simulation import play

SCENARIO = Scenario(
    weights=(2, 1, 1), cores=(2, 1, 1), requests=400, slow={1: 2.5}, faults=(Fault(2, 2.0), Fault(0, 1.0, 2.0, True))
)
RESULTS = play(SCENARIO, ("round_robin", "least_conn"))


def test_the_table_has_a_row_for_each_policy() -> None:
    headers, rows = report.table(SCENARIO, RESULTS)
    assert headers == ["policy", "server 1", "server 2", "server 3", "p50", "p99", "retried", "errors"]
    assert [row[0] for row in rows] == ["round_robin", "least_conn"]
    assert all(len(row) == len(headers) for row in rows)
    assert report.table(SCENARIO, RESULTS, "id")[0][0] == "kebijakan"


@pytest.mark.parametrize("language", ["en", "id"])
def test_the_picture_has_a_line_for_each_server(language: str) -> None:
    lines = report.picture(SCENARIO, RESULTS[0], language)
    assert len(lines) == 4
    assert sum("─▶ round_robin" in line for line in lines) == 1
    assert len({line.rindex("▶") for line in lines[:3]}) == 1, "they stand in a column"
    assert max(map(len, lines)) <= 120


def test_a_single_server_has_no_tree() -> None:
    alone = Scenario(weights=(1,), cores=(1,), requests=20)
    line, _ = report.picture(alone, play(alone, ("random",))[0])
    assert line.startswith("visitors ─▶ random ─")
    assert "100.0 %" in line


def test_what_is_special_about_a_server_is_said() -> None:
    assert report.note(SCENARIO, 0) == "weight 2, hung 1-2 s"
    assert report.note(SCENARIO, 1) == "weight 1, 2.5x slower"
    assert report.note(SCENARIO, 2, "id") == "bobot 1, mati pada detik 2"
    assert report.note(Scenario(), 0) == ""


def test_the_document_is_json_with_shares_that_add_up() -> None:
    document = json.loads(json.dumps(report.document(SCENARIO, RESULTS)))
    for policy in document["policies"]:
        assert sum(server["share"] for server in policy["servers"]) == pytest.approx(1, abs=1e-5)
        assert sum(server["answered"] for server in policy["servers"]) + policy["errors"] == 400
        assert policy["p50_ms"] <= policy["p90_ms"] <= policy["p99_ms"] <= policy["longest_ms"]


def test_the_table_of_many_servers_leaves_them_to_the_pictures() -> None:
    many = Scenario(weights=(1,) * 20, cores=(1,) * 20, requests=50)
    headers, rows = report.table(many, play(many, ("random",)))
    assert headers == ["policy", "p50", "p99", "retried", "errors"]
    assert len(rows[0]) == len(headers)
