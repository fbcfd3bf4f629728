"""Accounts and locations of a world as Google's JSON objects. Zero values are left out, as in proto3 JSON."""

from typing import Any

from app.simulator import texts
from app.simulator.catalogue import Catalogue
from app.simulator.numbers import mix


def account(catalogue: Catalogue, number: int) -> dict[str, Any]:
    """One Account of the Account Management API."""
    kind = catalogue.account_type(number)
    value: dict[str, Any] = {
        "name": catalogue.account_name(number),
        "accountName": "Testa McFixture" if number == 0 else f"Example Group {number}",
        "type": kind,
        "role": "PRIMARY_OWNER" if number == 0 else "MANAGER",
        "verificationState": "VERIFIED" if kind == "LOCATION_GROUP" else "UNVERIFIED",
        "vettedState": "NOT_VETTED",
    }
    if kind == "ORGANIZATION":
        value["permissionLevel"] = "OWNER_LEVEL"
        value["accountNumber"] = str(100_000 + number)
        value["organizationInfo"] = {"registeredDomain": "example.com"}
    return value


def location(catalogue: Catalogue, number: int) -> dict[str, Any]:
    """One Location of the Business Information API, with every field that this one has."""
    bits = mix(catalogue.seed, number << 3)
    trade = texts.TRADES[bits % len(texts.TRADES)]
    town = texts.TOWNS[(bits >> 8) % len(texts.TOWNS)]
    value: dict[str, Any] = {
        "name": catalogue.location_name(number),
        "title": f"{trade} {town[0]} #{number + 1}",
        "languageCode": "en",
        "phoneNumbers": {"primaryPhone": f"+1 555-01{bits % 100:02d}"},
        "categories": {"primaryCategory": {"name": "categories/gcid:store", "displayName": "Store"}},
        "websiteUri": f"https://shop-{number + 1}.example.com/",
        "regularHours": {"periods": [_weekday(bits)]},
        "openInfo": {"status": "CLOSED_TEMPORARILY" if bits >> 20 & 31 == 0 else "OPEN", "canReopen": True},
        "metadata": _metadata(catalogue, number),
    }
    if bits >> 25 & 3:
        value["storeCode"] = f"S-{number + 1:05d}"
    if bits >> 30 & 7:
        value["storefrontAddress"] = _address(town, bits)
    else:  # a service-area business has no storefront
        value["serviceArea"] = {"businessType": "CUSTOMER_LOCATION_ONLY", "regionCode": town[1]}
    return value


def _weekday(bits: int) -> dict[str, Any]:
    midnight: dict[str, int] = {}  # TimeOfDay of midnight is {}, says the TimePeriod text
    opening = {"hours": 9} if bits >> 40 & 3 else midnight
    return {"openDay": "MONDAY", "openTime": opening, "closeDay": "MONDAY", "closeTime": {"hours": 18, "minutes": 30}}


def _address(town: tuple[str, str, str], bits: int) -> dict[str, Any]:
    return {
        "regionCode": town[1],
        "languageCode": "en",
        "postalCode": town[2],
        "locality": town[0],
        "addressLines": [f"{bits % 199 + 1} Sample Street"],
    }


def _metadata(catalogue: Catalogue, number: int) -> dict[str, Any]:
    value: dict[str, Any] = {"canDelete": True, "canModifyServiceList": True}
    if catalogue.is_verified(number):
        place = f"ChIJ{mix(catalogue.seed, number):016x}sim"
        value["placeId"] = place
        value["mapsUri"] = f"https://maps.google.com/maps?cid={number + 1}"
        value["newReviewUri"] = f"https://search.google.com/local/writereview?placeid={place}"
        value["hasVoiceOfMerchant"] = True
    return value
