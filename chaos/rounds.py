"""Which disturbances come when: by a seed, by names, or by a script. One round is what happens at the same time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from chaos.arena import Disturbance
from chaos.crowding import CROWDING
from chaos.disturbances import DISTURBANCES

KNOWN: dict[str, Disturbance] = DISTURBANCES | CROWDING

OF_A_CLUSTER = ("broker-away",)
"""They need a broker that can be missed."""

LASTING = ("broker-away", "zombie", "zombie-publisher", "quota-cut", "rebalances", "duplicates")
"""They go on while something else happens."""

TOGETHER = 0.4
"""The share of rounds in which something lasting goes on around a stroke."""

Round = tuple[str, ...]


def by_seed(random: Random, names: Sequence[str]) -> Iterator[Round]:
    """Endless. Each name once in a random order, then again; some rounds take a lasting one along."""
    while True:
        for name in random.sample(list(names), len(names)):
            around = [other for other in names if other in LASTING]
            if name not in LASTING and around and random.random() < TOGETHER:
                yield random.choice(around), name
            else:
                yield (name,)


def by_script(text: str) -> list[Round]:
    """A line is a round: names separated by spaces; `#` begins a comment. Raises ValueError for an unknown name."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    rounds = [tuple(names) for names in lines if names]
    for names in rounds:
        check(names)
    if not rounds:
        raise ValueError("the script has no round")
    return rounds


def check(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in KNOWN]
    if unknown:
        raise ValueError(f"no such disturbance: {', '.join(unknown)}. Known: {', '.join(KNOWN)}")


def check_place(names: Sequence[str], *, cluster: bool) -> None:
    misplaced = [name for name in names if name in OF_A_CLUSTER]
    if misplaced and not cluster:
        raise ValueError(f"{', '.join(misplaced)}: only with --cluster, where another broker takes over")


def read_script(path: Path) -> list[Round]:
    try:
        return by_script(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
