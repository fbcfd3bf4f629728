"""Where publishing goes on: what Kafka and the store say of each other, and what an operator has decided.

Both keep the last position that was published. Kafka's is exact, but lost after an idle week or with its topic; the
store's is a copy that lags. When the two cannot belong together, nothing is sent until somebody decides.
"""

from app.store.database import Transaction
from app.store.outbox import Head, lock_head, set_head, unstamp

ANY_TOPIC = ""
"""In place of the ids: an operator has said that whatever topic there is, is the right one."""

ADVICE = (
    " Nothing is sent until you decide: `review-fetcher republish --everything` sends every stored review to it,"
    " `review-fetcher republish --from-here` only what was not sent yet."
)


class RepublishNeededError(Exception):
    """The topic is not the one that was published to, or not from this store. The message says what to do."""


def go_on_after(transaction: Transaction, cluster_id: str, topic_id: str, reached: int | None) -> int:
    """The position after which to publish; the ids are the topic's, `reached` is the last position Kafka knows of.

    Raises `RepublishNeededError`.
    """
    head = lock_head(transaction)
    position = max(reached or 0, head.published)
    if head.cluster_id == ANY_TOPIC:
        head = _accept(transaction, head, reached)
        position = head.published
    elif head.cluster_id is not None and (head.cluster_id, head.topic_id) != (cluster_id, topic_id):
        how = "on another Kafka cluster" if head.cluster_id != cluster_id else "deleted and made anew"
        raise RepublishNeededError(f"The topic reviews-raw is not the one that was published to, but {how}.{ADVICE}")
    elif position > head.position:
        raise RepublishNeededError(
            f"Kafka has position {position} of the topic reviews-raw, and this store has given out only"
            f" {head.position}: the store was restored from a backup, or is another one.{ADVICE}"
        )
    set_head(transaction, Head(head.position, position, cluster_id, topic_id))
    return position


def _accept(transaction: Transaction, head: Head, reached: int | None) -> Head:
    """What the store does not know to be published is sent, with positions that nobody has used.

    A position of Kafka's that this store has given out is believed: it is only fresher than the store's copy.
    """
    if reached is not None and reached <= head.position:
        return head._replace(published=max(reached, head.published))
    unstamp(transaction, head.published)
    start = max(reached or 0, head.position)
    return head._replace(position=start, published=start)


def accept_any_topic(transaction: Transaction) -> None:
    """An operator's decision, for the next `go_on_after`."""
    set_head(transaction, lock_head(transaction)._replace(cluster_id=ANY_TOPIC, topic_id=ANY_TOPIC))


def end_decision(transaction: Transaction, cluster_id: str, topic_id: str) -> None:
    """The topic that is being published to is still this one: what was decided meanwhile is not for a later one."""
    head = lock_head(transaction)
    if head.cluster_id == ANY_TOPIC:
        set_head(transaction, head._replace(cluster_id=cluster_id, topic_id=topic_id))
