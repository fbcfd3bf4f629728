"""/_sim: ledger, truth, changes, faults, holding and waiting, over HTTP and from a process of its own."""

import asyncio
from pathlib import Path

import pytest

from app.simulator import Catalogue, Simulator
from app.simulator.calls import Call
from app.simulator.ledger import Ledger
from tests.support.simulator import control, simulator_process
from tests.unit.simulator.conftest import WORLD, Client


async def test_the_ledger_tells_every_call_and_no_token(client: Client) -> None:
    first = await client.get(client.reviews_path(), "ya29.very-secret")
    await client.get(client.reviews_path(), "ya29.very-secret", pageToken=first.body["nextPageToken"])
    await client.get("/v1/accounts", "")
    reply = (await client.get("/_sim/ledger")).body
    assert [(call["api"], call["page"], call["status"], call["outcome"]) for call in reply["calls"]] == [
        ("reviews", 0, 200, "ok"),
        ("reviews", 1, 200, "ok"),
        ("accounts", 0, 401, "invalid_token"),
    ]
    assert reply["calls"][1]["page_token"] == first.body["nextPageToken"]
    assert reply["calls"][0]["token"] == reply["calls"][1]["token"] != reply["calls"][2]["token"] == ""
    assert "secret" not in str(reply)


async def test_the_ledger_can_be_read_in_parts_summed_up_and_reset(client: Client) -> None:
    for _ in range(5):
        await client.get("/v1/accounts")
    part = (await client.get("/_sim/ledger", after=2, limit=2)).body["calls"]
    assert [call["number"] for call in part] == [3, 4]
    summary = (await client.get("/_sim/ledger/summary")).body
    assert summary["by_api"] == {"accounts": {"200": 5}}
    assert summary["most_in_60_seconds"] == {"accounts": 5}
    await client.send("DELETE", "/_sim/ledger")
    assert (await client.get("/_sim/ledger/summary")).body["calls"] == 0


def test_a_full_ledger_forgets_the_oldest_but_counts_on() -> None:
    ledger = Ledger(capacity=3)
    for second in range(5):
        ledger.record(Call("GET", f"/v1/{second}", {}, "t", False), 200, float(second * 40), 1)
    assert [entry["number"] for entry in ledger.entries()] == [3, 4, 5]
    assert (ledger.dropped, ledger.calls("accounts")) == (2, 5)
    assert ledger.entries(after=4)[0]["path"] == "/v1/4"
    assert ledger.most_in(60.0) == {"accounts": 2}
    assert ledger.most_in(40.0) == {"accounts": 1}, "a window that ends where the next call starts"


async def test_the_truth_follows_changes(client: Client) -> None:
    location = WORLD.location_name(2)
    before = (await client.get("/_sim/truth")).body
    assert before["reviews"] == WORLD.total_reviews() == sum(item["reviews"] for item in before["locations"])
    changed = await client.send("POST", "/_sim/mutate", json={"location": location, "insert": 3, "delete": 1})
    assert changed.body == {"reviews": 122}
    assert (await client.get("/_sim/truth", limit=1)).body["reviews"] == before["reviews"] + 2
    ids = (await client.get("/_sim/truth", location=location, after=3, limit=2)).body["review_ids"]
    assert ids == list(WORLD.review_ids(location))[1:3]


async def test_inserted_edited_and_deleted_reviews_show_in_the_pages(client: Client, simulator: Simulator) -> None:
    before = [review for page in await client.pages(client.reviews_path(1)) for review in page["reviews"]]
    simulator.mutate(WORLD.location_name(1), insert=1, edit=1, delete=1)
    after = [review for page in await client.pages(client.reviews_path(1)) for review in page["reviews"]]
    inserted, edited, *others = after
    assert others == before[1:-1]
    assert inserted["reviewId"] not in {review["reviewId"] for review in before}
    assert edited["reviewId"] == before[-1]["reviewId"]
    assert inserted["updateTime"] > edited["updateTime"] > before[0]["updateTime"]
    assert (await client.get(f"/v4/{edited['name']}")).body == edited
    assert (await client.get(f"/v4/{before[0]['name']}")).status == 404


async def test_an_unverified_location_cannot_be_changed(client: Client) -> None:
    world = Catalogue(locations=1, unverified=1.0)
    wish = {"location": world.location_name(0), "token": "ya29.sim-locations1-unverified1", "insert": 5}
    assert (await client.send("POST", "/_sim/mutate", json=wish)).body == {"reviews": 0}


async def test_faults_are_put_added_to_and_cleared(client: Client) -> None:
    await client.send("PUT", "/_sim/faults", json={"rules": [{"fault": "expired_token", "times": 1}]})
    added = await client.send("POST", "/_sim/faults", json={"fault": "failure", "status": 500, "api": "reviews"})
    assert [rule["rule"]["fault"] for rule in added.body["rules"]] == ["expired_token", "failure"]
    assert [(await client.get("/v1/accounts")).status for _ in range(2)] == [401, 401]
    fired = (await client.get("/_sim/faults")).body
    assert (fired["fired"], fired["rules"][0]["fired"]) == ({"expired_token": 1}, 1)
    assert (await client.send("DELETE", "/_sim/faults")).body["rules"] == []
    assert (await client.get("/v1/accounts")).status == 200


async def test_a_held_call_can_be_awaited_and_released(client: Client) -> None:
    await client.send("PUT", "/_sim/faults", json={"rules": [{"fault": "hold", "times": 1}]})
    held = asyncio.create_task(client.get("/v1/accounts"))
    waited = await client.get("/_sim/wait", held=1, arrived=1, timeout=5)
    assert waited.body["reached"] is True
    assert not held.done()
    assert (await client.send("POST", "/_sim/release")).body == {"released": 1}
    assert (await held).status == 200


async def test_waiting_ends_without_what_was_waited_for(client: Client) -> None:
    assert (await client.get("/_sim/wait", arrived=1, timeout=0.01)).body["reached"] is False


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "faults", "{"),
        ("POST", "faults", '{"fault": "nope"}'),
        ("POST", "mutate", '{"location": "locations/1"}'),
        ("POST", "mutate", "[]"),
        ("POST", "release", '"x"'),
        ("GET", "ledger?after=x", ""),
        ("GET", "truth?location=x", ""),
        ("GET", "wait?arrived=x", ""),
    ],
)
async def test_control_calls_without_sense_say_so(client: Client, method: str, path: str, body: str) -> None:
    reply = await client.send(method, f"/_sim/{path}", data=body)
    assert reply.status == 400
    assert reply.body["error"]


async def test_an_unknown_control_call_names_the_known_ones(client: Client) -> None:
    reply = await client.get("/_sim/nope")
    assert reply.status == 404
    assert "POST release" in reply.body["known"]


async def test_starting_and_stopping_twice_is_harmless() -> None:
    simulator = Simulator(WORLD)
    await simulator.start()
    url = simulator.url
    await simulator.start()
    assert simulator.url == url
    await simulator.stop()
    await simulator.stop()
    await simulator.start()
    assert simulator.url
    await simulator.stop()


async def test_a_taken_port_is_an_error_and_can_be_tried_again(simulator: Simulator) -> None:
    port = int(simulator.url.rpartition(":")[2])
    second = Simulator(WORLD, port=port)
    with pytest.raises(OSError, match=str(port)):
        await second.start()
    await simulator.stop()
    async with second:
        assert second.url == f"http://127.0.0.1:{port}"


def test_a_process_of_its_own_announces_its_url_and_stops_at_sigterm() -> None:
    options = ("--accounts", "2", "--locations", "3", "--reviews", "4", "--seed", "9", "--faults", "flaky")
    with simulator_process(*options) as url:
        truth = control(url, "GET", "truth")
        assert control(url, "GET", "faults")["settings"]["seed"] == 9
        assert control(url, "GET", "faults")["settings"]["rules"]
    assert truth["reviews"] == Catalogue(seed=9, accounts=2, locations=3, reviews=4).total_reviews() == 24


def test_a_process_takes_its_faults_from_a_file(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('{"unverified_status": 403, "rules": [{"fault": "cut", "api": "reviews", "share": 0.1}]}')
    with simulator_process("--faults", str(script)) as url:
        settings = control(url, "GET", "faults")["settings"]
    assert settings["unverified_status"] == 403
    assert [(rule["fault"], rule["share"]) for rule in settings["rules"]] == [("cut", 0.1)]
