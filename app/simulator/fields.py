"""Field masks: the `fields` parameter of partial responses and the `readMask` of locations.list."""

import re
from functools import lru_cache
from typing import Any

Mask = dict[str, Any]
"""Field name → Mask of its children; an empty Mask selects the whole field. "*" stands for every field."""

_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[*(),/]")


class MaskError(ValueError):
    """A mask that cannot be parsed or names a field that does not exist."""


class _Parser:
    """Reads `a,b(c,d),e/f` by recursive descent."""

    def __init__(self, text: str) -> None:
        self._words = _WORDS.findall(text)
        if "".join(self._words) != text.replace(" ", ""):
            raise MaskError(text)
        self._at = 0

    def parse(self) -> Mask:
        mask = self._list()
        if self._at != len(self._words):
            raise MaskError("unbalanced parenthesis")
        return mask

    def _list(self) -> Mask:
        mask: Mask = {}
        self._path(mask)
        while self._take(","):
            self._path(mask)
        return mask

    def _path(self, mask: Mask) -> None:
        name = self._name()
        if self._take("/"):
            child = mask.setdefault(name, {})
            self._path(child)
        elif self._take("("):
            mask.setdefault(name, {}).update(self._list())
            if not self._take(")"):
                raise MaskError("unbalanced parenthesis")
        else:
            mask[name] = {}

    def _name(self) -> str:
        word = self._words[self._at] if self._at < len(self._words) else ","
        if word in "(),/":
            raise MaskError("a field name is missing")
        self._at += 1
        return str(word)

    def _take(self, word: str) -> bool:
        taken = self._at < len(self._words) and self._words[self._at] == word
        self._at += taken
        return taken


@lru_cache(maxsize=1024)
def parse(text: str, schema: "Schema") -> Mask:
    """The mask written in `text`. Raises MaskError, also for a field that the schema does not have."""
    mask = _Parser(text).parse()
    _check(mask, schema.tree)
    return mask


@lru_cache(maxsize=1024)
def parse_paths(text: str, schema: "Schema") -> Mask:
    """A protobuf FieldMask: comma-separated paths with dots. Raises MaskError."""
    if "(" in text or "/" in text or "*" in text:
        raise MaskError(text)
    return parse(text.replace(".", "/"), schema)


def select(value: Any, mask: Mask) -> Any:
    """The part of a JSON value that a mask selects."""
    if not mask or ("*" in mask and not mask["*"]):
        return value
    if isinstance(value, list):
        return [select(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    everything = mask.get("*")
    if everything is not None:
        return {name: select(child, everything) for name, child in value.items()}
    return {name: select(child, mask[name]) for name, child in value.items() if name in mask}


def _check(mask: Mask, tree: Mask) -> None:
    for name, children in mask.items():
        if name == "*":
            for below in tree.values():
                _check(children, below)
        elif name not in tree:
            raise MaskError(f"no field {name}")
        elif children:
            _check(children, tree[name])


class Schema:
    """The fields of a message, written as a mask."""

    def __init__(self, text: str) -> None:
        self.tree = _Parser("".join(text.split())).parse()


ACCOUNT = (
    "name,accountName,type,role,verificationState,vettedState,permissionLevel,accountNumber,primaryOwner,"
    "organizationInfo(registeredDomain,phoneNumber,address(revision,regionCode,languageCode,postalCode,sortingCode,"
    "administrativeArea,locality,sublocality,addressLines,recipients,organization))"
)
LOCATION = (
    "name,title,storeCode,languageCode,phoneNumbers(primaryPhone,additionalPhones),"
    "categories(primaryCategory(name,displayName,serviceTypes,moreHoursTypes),"
    "additionalCategories(name,displayName,serviceTypes,moreHoursTypes)),"
    "storefrontAddress(revision,regionCode,languageCode,postalCode,sortingCode,administrativeArea,locality,"
    "sublocality,addressLines,recipients,organization),websiteUri,regularHours(periods(openDay,openTime(hours,minutes,seconds,nanos),closeDay,"
    "closeTime(hours,minutes,seconds,nanos))),specialHours(specialHourPeriods),moreHours,serviceArea(businessType,places,regionCode),serviceItems,"
    "labels,adWordsLocationExtensions(adPhone),latlng(latitude,longitude),openInfo(status,canReopen,openingDate),"
    "profile(description),relationshipData(parentLocation,childrenLocations,parentChain),"
    "metadata(placeId,mapsUri,newReviewUri,duplicateLocation,hasVoiceOfMerchant,hasPendingEdits,hasGoogleUpdated,"
    "canDelete,canModifyServiceList,canHaveFoodMenus,canHaveBusinessCalls,canOperateHealthData,canOperateLodgingData,"
    "isParticularlyPersonalPlace,canOperateLocalPost)"
)
REVIEW = (
    "name,reviewId,reviewer(profilePhotoUrl,displayName,isAnonymous),starRating,comment,createTime,updateTime,"
    "reviewReply(comment,updateTime,reviewReplyState,policyViolation),"
    "reviewMediaItems(thumbnailUrl,thumbnailLabel,videoUrl),reviewReplyUrl"
)
ACCOUNT_SCHEMA = Schema(ACCOUNT)
LOCATION_SCHEMA = Schema(LOCATION)
REVIEW_SCHEMA = Schema(REVIEW)
ACCOUNTS_SCHEMA = Schema(f"accounts({ACCOUNT}),nextPageToken")
LOCATIONS_SCHEMA = Schema(f"locations({LOCATION}),nextPageToken,totalSize")
REVIEWS_SCHEMA = Schema(f"reviews({REVIEW}),averageRating,totalReviewCount,nextPageToken")
