"""accounts, locations, reviews, tokeninfo and token as Google's documents describe them, over HTTP."""

import pytest

from app.simulator import Catalogue, Faults, Simulator
from app.simulator.faults import Quota
from tests.unit.simulator.conftest import WORLD, Client


async def test_accounts_begin_with_the_personal_one_and_fit_their_page_size(client: Client) -> None:
    pages = await client.pages("/v1/accounts", pageSize=2)
    accounts = [account for page in pages for account in page["accounts"]]
    assert [len(page["accounts"]) for page in pages] == [2, 1]
    assert [account["name"] for account in accounts] == list(WORLD.account_names())
    assert [account["type"] for account in accounts] == ["PERSONAL", "LOCATION_GROUP", "ORGANIZATION"]


async def test_accounts_can_be_filtered_by_type_only(client: Client) -> None:
    found = await client.get("/v1/accounts", filter="type=ORGANIZATION")
    assert [account["type"] for account in found.body["accounts"]] == ["ORGANIZATION"]
    assert (await client.get("/v1/accounts", filter="role=OWNER")).status == 400


async def test_only_organizations_and_user_groups_are_parent_accounts(client: Client) -> None:
    personal, _, organization = WORLD.account_names()
    assert (await client.get("/v1/accounts", parentAccount=organization)).body == {}
    assert (await client.get("/v1/accounts", parentAccount=personal)).status == 400


async def test_a_user_without_accounts_gets_an_empty_object(client: Client) -> None:
    assert (await client.get("/v1/accounts", token="ya29.sim-accounts0")).body == {}


async def test_locations_need_a_read_mask(client: Client) -> None:
    path = f"/v1/{WORLD.account_name(0)}/locations"
    for query in ({}, {"readMask": "nope"}):
        refused = await client.get(path, **query)
        assert refused.status == 400
        assert refused.body["error"]["status"] == "INVALID_ARGUMENT"
        assert refused.body["error"]["message"] == "Request contains an invalid argument."


async def test_locations_carry_what_the_mask_names_and_no_account(client: Client) -> None:
    [page] = await client.pages(f"/v1/{WORLD.account_name(1)}/locations", readMask="name,metadata.hasVoiceOfMerchant")
    assert [location["name"] for location in page["locations"]] == list(WORLD.location_names(WORLD.account_name(1)))
    assert page["locations"][0]["metadata"] == {"hasVoiceOfMerchant": True}


async def test_locations_come_ten_at_a_time_unless_asked_otherwise(client: Client) -> None:
    account = Catalogue(locations=150).account_name(0)
    query = {"token": "ya29.sim-accounts1-locations150", "readMask": "name"}
    usual = await client.get(f"/v1/{account}/locations", **query)
    most = await client.get(f"/v1/{account}/locations", pageSize=500, **query)
    assert (len(usual.body["locations"]), len(most.body["locations"])) == (10, 100)
    assert "totalSize" not in most.body


async def test_the_wildcard_account_lists_every_location_once(client: Client) -> None:
    [page] = await client.pages("/v1/accounts/-/locations", readMask="name", pageSize=100)
    assert [location["name"] for location in page["locations"]] == list(WORLD.distinct_location_names())


async def test_an_unverified_location_lacks_voice_of_merchant_and_answers_as_told(client: Client) -> None:
    token = "ya29.sim-accounts1-locations1-unverified1"
    world = Catalogue(locations=1, unverified=1.0)
    account, location = world.account_name(0), world.location_name(0)
    listed = await client.get(f"/v1/{account}/locations", token, readMask="name,metadata")
    assert "hasVoiceOfMerchant" not in listed.body["locations"][0]["metadata"]
    for status in (400, 403, 404):
        client.simulator.faults.replace(Faults(unverified_status=status))
        assert (await client.get(f"/v4/{account}/{location}/reviews", token)).status == status
    client.simulator.faults.replace(Faults())
    assert (await client.get(f"/v4/{account}/{location}/reviews", token)).body == {}


async def test_the_pages_of_a_location_are_exactly_its_reviews(client: Client) -> None:
    pages = await client.pages(client.reviews_path(2), pageSize=50, orderBy="updateTime desc")
    found = [review["reviewId"] for page in pages for review in page["reviews"]]
    assert [len(page["reviews"]) for page in pages] == [50, 50, 20]
    assert found == list(WORLD.review_ids(WORLD.location_name(2)))
    assert {page["totalReviewCount"] for page in pages} == {120}
    assert {round(WORLD.rating_sum(2, 120) / 120, 1)} == {page["averageRating"] for page in pages}


async def test_a_location_without_reviews_answers_an_empty_object(client: Client) -> None:
    world = Catalogue(reviews=0)
    path = f"/v4/{world.account_name(0)}/{world.location_name(0)}/reviews"
    assert (await client.get(path, "ya29.sim-reviews0")).body == {}


async def test_reviews_can_be_ordered_by_rating(client: Client) -> None:
    worst = ["ONE", "TWO", "THREE", "FOUR", "FIVE"]
    for order, words in (("rating", worst), ("rating desc", worst[::-1])):
        pages = await client.pages(client.reviews_path(), orderBy=order)
        ratings = [words.index(review["starRating"]) for page in pages for review in page["reviews"]]
        assert ratings == sorted(ratings)
        assert len(ratings) == 120
    assert (await client.get(client.reviews_path(), orderBy="updateTime asc")).status == 400


async def test_a_page_token_is_good_for_its_own_request_only(client: Client) -> None:
    token = (await client.get(client.reviews_path(1))).body["nextPageToken"]
    assert (await client.get(client.reviews_path(1), pageToken=token)).status == 200
    others = [
        await client.get(client.reviews_path(2), pageToken=token),
        await client.get(client.reviews_path(1), pageToken=token, pageSize=20),
        await client.get(client.reviews_path(1), pageToken=token, orderBy="rating"),
        await client.get("/v1/accounts", pageToken=token),
        await client.get(client.reviews_path(1), pageToken="made-up"),
    ]
    assert [reply.status for reply in others] == [400] * 5


async def test_a_location_of_another_account_is_not_found(client: Client) -> None:
    foreign = client.reviews_path(3, account=1).replace(WORLD.account_name(1), WORLD.account_name(2))
    shared = client.reviews_path(0, account=1).replace(WORLD.account_name(1), WORLD.account_name(2))
    refused = await client.get(foreign)
    assert (refused.status, refused.body["error"]["status"]) == (404, "NOT_FOUND")
    assert (await client.get(shared)).status == 200
    assert (await client.get(client.reviews_path().replace(WORLD.account_name(0), "accounts/-"))).status == 404


async def test_one_review_account_or_location_can_be_read(client: Client) -> None:
    listed = (await client.get(client.reviews_path())).body["reviews"][7]
    assert (await client.get(f"/v4/{listed['name']}")).body == listed
    assert (await client.get(f"/v4/{listed['name'][:-2]}")).status == 404
    account = (await client.get(f"/v1/{WORLD.account_name(1)}")).body
    assert account["name"] == WORLD.account_name(1)
    location = await client.get(f"/v1/{WORLD.location_name(1)}", readMask="name")
    assert location.body == {"name": WORLD.location_name(1)}
    assert (await client.get("/v1/locations/1", readMask="name")).status == 404


async def test_partial_responses_give_the_fields_asked_for(client: Client) -> None:
    reply = await client.get(client.reviews_path(), fields="reviews(reviewId,reviewer/displayName),nextPageToken")
    assert set(reply.body) == {"reviews", "nextPageToken"}
    assert all(set(review) == {"reviewId", "reviewer"} for review in reply.body["reviews"])
    whole = await client.get(client.reviews_path(), fields="reviews,totalReviewCount")
    assert set(whole.body) == {"reviews", "totalReviewCount"}
    assert (await client.get(client.reviews_path(), fields="reviews(nope)")).status == 400


async def test_answers_are_indented_unless_asked_otherwise(client: Client) -> None:
    url = client.simulator.url + client.reviews_path() + "?pageSize=2"
    headers = {"Authorization": "Bearer ya29.plain"}
    async with client.session.get(url, headers=headers) as response:
        pretty = await response.text()
    compact = (await client.get(client.reviews_path(), pageSize=2)).body
    assert pretty.startswith('{\n  "reviews": [\n    {\n      "name"')
    async with client.session.get(url, headers=headers) as response:
        assert await response.json() == compact


@pytest.mark.parametrize(
    ("accept", "agent", "encoding"),
    [("gzip", "test (gzip)", "gzip"), ("gzip", "test", None), ("identity", "test (gzip)", None)],
)
async def test_gzip_needs_the_header_and_the_word_in_the_user_agent(
    client: Client, accept: str, agent: str, encoding: str | None
) -> None:
    headers = {"Authorization": "Bearer t", "Accept-Encoding": accept, "User-Agent": agent}
    reply = await client.send("GET", client.reviews_path(), headers=headers)
    assert reply.headers.get("Content-Encoding") == encoding
    assert len(reply.body["reviews"]) == 50


@pytest.mark.parametrize("token", ["", "invalid-token"])
async def test_a_bad_token_is_unauthenticated(client: Client, token: str) -> None:
    refused = await client.get("/v1/accounts", token)
    assert (refused.status, refused.body["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


async def test_a_token_in_the_query_does_not_count(client: Client) -> None:
    assert (await client.get("/v1/accounts", "", access_token="ya29.plain")).status == 401


async def test_a_token_can_choose_its_own_world(client: Client) -> None:
    token = "ya29.sim-accounts3-locations5-reviews20-seed7-shared2-spread0.5-job12"
    world = Catalogue(seed=7, accounts=3, locations=5, reviews=20, shared_locations=2, spread=0.5)
    reply = await client.get("/v1/accounts", token)
    assert [account["name"] for account in reply.body["accounts"]] == list(world.account_names())
    assert client.simulator.truth(token).totals()["reviews"] == world.total_reviews()


async def test_a_token_for_an_impossible_world_is_refused(client: Client) -> None:
    assert (await client.get("/v1/accounts", "ya29.sim-unverified7")).status == 401


async def test_tokeninfo_tells_the_project_and_the_life_left(client: Client) -> None:
    for reply in (
        await client.get("/tokeninfo", "", access_token="ya29.sim-project42"),
        await client.get("/tokeninfo", "ya29.sim-project42"),
        await client.send("POST", "/tokeninfo", data={"access_token": "ya29.sim-project42"}),
    ):
        assert reply.body["aud"] == reply.body["audience"] == "42-simulator.apps.googleusercontent.com"
        assert 3590 <= int(reply.body["expires_in"]) <= 3600
        assert reply.body["scope"] == "https://www.googleapis.com/auth/business.manage"
    refused = await client.get("/tokeninfo", "", access_token="invalid")
    assert (refused.status, refused.body["error"]) == (400, "invalid_token")


async def test_a_token_can_be_short_lived(client: Client) -> None:
    assert (await client.get("/v1/accounts", "ya29.sim-expires0")).status == 401
    info = await client.get("/tokeninfo", "", access_token="ya29.sim-expires30")
    assert int(info.body["expires_in"]) <= 30


async def test_a_refresh_token_gives_a_new_access_token_of_the_same_world(client: Client) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "1//sim-accounts2", "client_id": "c", "client_secret": "s"}
    first = (await client.send("POST", "/token", data=form)).body
    second = (await client.send("POST", "/token", data=form)).body
    assert first["access_token"] != second["access_token"]
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3599)
    assert len((await client.get("/v1/accounts", first["access_token"])).body["accounts"]) == 2


async def test_a_revoked_refresh_token_is_an_invalid_grant(client: Client) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "invalid", "client_id": "c", "client_secret": "s"}
    refused = await client.send("POST", "/token", data=form)
    assert refused.status == 400
    assert refused.body == {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


async def test_an_unknown_method_is_not_found(client: Client) -> None:
    assert (await client.get("/v4/accounts/1/locations")).status == 404
    assert (await client.send("DELETE", "/v1/accounts", headers={"Authorization": "Bearer t"})).status == 404
    assert (await client.get("/", "")).status == 404
    assert [call["api"] for call in client.simulator.ledger.entries()] == ["reviews", "accounts", "other"]


async def test_pages_out_of_the_cache_are_the_same(client: Client) -> None:
    first = await client.pages(client.reviews_path())
    assert await client.pages(client.reviews_path()) == first
    async with Simulator(WORLD, page_cache_bytes=0) as uncached:
        assert await Client(uncached, client.session).pages(client.reviews_path()) == first


async def test_the_quota_counts_per_project_and_api(client: Client) -> None:
    client.simulator.faults.replace(Faults(quota=Quota(accounts=2, retry_after=7)))
    statuses = [(await client.get("/v1/accounts")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await client.get("/v1/accounts")
    assert refused.headers["Retry-After"] == "7"
    metadata = refused.body["error"]["details"][0]["metadata"]
    assert (metadata["quota_limit_value"], metadata["quota_unit"]) == ("2", "1/min/{project}")
    assert (await client.get("/v1/accounts", "ya29.sim-accounts1-project2")).status == 200
    assert (await client.get(client.reviews_path())).status == 200
