"""The pages of reviews.list: bytes from the fast writer, bounded cache, and the slow way round for strange wishes."""

import json
import zlib
from collections import OrderedDict
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from app.simulator import fields
from app.simulator.catalogue import Catalogue
from app.simulator.changes import Changes
from app.simulator.distortions import distort
from app.simulator.faults import Distort
from app.simulator.fields import Mask
from app.simulator.fragments import encode
from app.simulator.render import Entry, ReviewWriter

_WRITERS = lru_cache(maxsize=4096)(ReviewWriter)
_GZIP_WINDOW = 31  # zlib's number for a gzip header and the largest window


class Page(NamedTuple):
    """Which page of which location, as which account sees it."""

    catalogue: Catalogue
    account: int
    location: int
    version: int
    order: str
    size: int
    offset: int
    next_token: str
    mask: str
    pretty: bool
    gzip: bool


class PageCache:
    """Finished pages by request, the least used thrown out beyond a number of bytes; 0 bytes keep nothing."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pages: OrderedDict[Page, bytes] = OrderedDict()
        self.size = 0

    def get(self, page: Page) -> bytes | None:
        body = self._pages.get(page)
        if body is not None:
            self._pages.move_to_end(page)
        return body

    def put(self, page: Page, body: bytes) -> None:
        if len(body) > self._capacity or page in self._pages:
            return
        self._pages[page] = body
        self.size += len(body)
        while self.size > self._capacity:
            self.size -= len(self._pages.popitem(last=False)[1])


class ReviewLister:
    """Answers for reviews.list and reviews.get in bytes."""

    def __init__(self, changes: Changes, cache_bytes: int) -> None:
        self._changes = changes
        self._cache = PageCache(cache_bytes)

    def page(self, page: Page, distortion: Distort | None) -> bytes:
        """The body of a page, compressed if the page says so."""
        if distortion is not None:
            return finish(self._slow(page, distortion), page.gzip)
        body = self._cache.get(page)
        if body is None:
            body = finish(self._plain(page), page.gzip)
            self._cache.put(page, body)
        return body

    def review(self, catalogue: Catalogue, account: int, location: int, entry: Entry) -> Any:
        """One Review as a JSON value."""
        return msgspec.json.decode(_WRITERS(catalogue, account, location).write(entry))

    def _plain(self, page: Page) -> bytes:
        mask = fields.parse(page.mask, fields.REVIEWS_SCHEMA) if page.mask else None
        if page.pretty or (mask is not None and mask.get("reviews")) or (mask is not None and "*" in mask):
            return self._slow(page, None)
        return b"{" + b",".join(self._members(page, mask)) + b"}"

    def _slow(self, page: Page, distortion: Distort | None) -> bytes:
        value = msgspec.json.decode(b"{" + b",".join(self._members(page, None)) + b"}")
        if distortion is not None:
            distort(value.get("reviews", []), distortion)
        if page.mask:
            value = fields.select(value, fields.parse(page.mask, fields.REVIEWS_SCHEMA))
        return to_json(value, page.pretty)

    def _members(self, page: Page, mask: Mask | None) -> list[bytes]:
        """The members of the answer; what is zero or empty is left out, as in proto3 JSON."""

        def wanted(name: str) -> bool:
            return mask is None or name in mask

        members: list[bytes] = []
        total = self._changes.count(page.catalogue, page.location)
        entries = self._entries(page) if wanted("reviews") else []
        if entries:
            write = _WRITERS(page.catalogue, page.account, page.location).write
            members.append(b'"reviews":[' + b",".join(map(write, entries)) + b"]")
        if total and wanted("averageRating"):
            members.append(b'"averageRating":%.1f' % self._changes.average_rating(page.catalogue, page.location))
        if total and wanted("totalReviewCount"):
            members.append(b'"totalReviewCount":%d' % total)
        if page.next_token and wanted("nextPageToken"):
            members.append(b'"nextPageToken":' + encode(page.next_token))
        return members

    def _entries(self, page: Page) -> list[Entry]:
        if page.order:
            descending = page.order.endswith(" desc")
            return self._changes.by_rating(page.catalogue, page.location, page.offset, page.size, descending)
        return self._changes.window(page.catalogue, page.location, page.offset, page.size)


def to_json(value: Any, pretty: bool) -> bytes:
    """Compact, or indented by two as Google's default; lone surrogates and NUL as escapes."""
    if pretty:
        return json.dumps(value, indent=2).encode() + b"\n"
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def finish(body: bytes, gzip: bool) -> bytes:
    """Compresses fast rather than well, as a front end under load does."""
    if not gzip:
        return body
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW)
    return compressor.compress(body) + compressor.flush()
