"""Parameters that several routes share."""

import re
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator

from app.models.errors import JobNotFoundError

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _possible(job_id: str) -> str:
    """What cannot be an id is answered like an id that nobody has, and never reaches the store."""
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFoundError
    return job_id


JobId = Annotated[str, AfterValidator(_possible), Path(description="The id that the submission answered.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items on a page.")]
Cursor = Annotated[str | None, Query(max_length=1024, description="`next_cursor` of the page before.")]
Word = Annotated[str | None, Query(max_length=200, pattern=r"^[\x20-\x7e]*$")]
