"""A review without who wrote it, for those who may not keep that.

Google's object stays as it came but for its member `reviewer`: the other members' bytes are the same, in their order.
Only what stands between them (white space, the spelling of the names) is written anew.
"""

import json
from typing import Any

import msgspec
from msgspec import MsgspecError, Raw

from app.models.review import Review

_members = msgspec.json.Decoder(dict[str, Raw]).decode
_name = msgspec.json.Encoder().encode

REVIEWER = "reviewer"


def without_reviewer(review: Review) -> Review:
    """The same review, nameless and faceless in its columns and in `raw`."""
    return review._replace(reviewer=None, raw=_cut(review))


def _cut(review: Review) -> bytes:
    try:
        members = _members(review.raw)
    except (MsgspecError, RecursionError):
        return _cut_carefully(review)
    kept = (b"%b:%b" % (_name(name), bytes(value)) for name, value in members.items() if name != REVIEWER)
    return b"{%b}" % b",".join(kept)


def _cut_carefully(review: Review) -> bytes:
    """What msgspec does not read (half a character in a name) is written anew; what nobody reads is not kept."""
    try:
        members: Any = json.loads(review.raw)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        return _name({"reviewId": review.review_id})
    members.pop(REVIEWER, None)
    return json.dumps(members).encode()
