"""Sealed tokens: they open for their own job alone, and errors never tell what is inside."""

import errno
import os
from itertools import permutations
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.credentials import (
    KEY_BYTES,
    KeyFileError,
    Purpose,
    SealedTokenError,
    SealingKey,
    SealingKeyError,
    TokenSealer,
    UnknownSealingKeyError,
    key_id_of,
    load_or_create_key,
)

TOKEN = "ya29.a-token-that-nobody-may-read"
OLD = SealingKey("2023", b"o" * KEY_BYTES)
NEW = SealingKey("2024", b"n" * KEY_BYTES)


@given(tenant=st.text(max_size=20), job_id=st.text(max_size=40), token=st.text(max_size=200))
def test_a_sealed_token_opens_for_its_own_job(tenant: str, job_id: str, token: str) -> None:
    sealer = TokenSealer([NEW])
    assert sealer.open(tenant, job_id, sealer.seal(tenant, job_id, token).data) == token


@pytest.mark.parametrize(("tenant", "job_id"), [("default", "job-2"), ("other", "job-1"), ("defaultj", "ob-1")])
def test_a_token_moved_to_another_row_does_not_open(tenant: str, job_id: str) -> None:
    sealer = TokenSealer([NEW])
    sealed = sealer.seal("default", "job-1", TOKEN)
    with pytest.raises(SealedTokenError) as caught:
        sealer.open(tenant, job_id, sealed.data)
    assert TOKEN not in repr(caught.value)


@pytest.mark.parametrize(("sealed_as", "opened_as"), list(permutations(Purpose, 2)))
def test_a_grant_opens_as_no_token_and_a_token_as_no_grant(sealed_as: Purpose, opened_as: Purpose) -> None:
    sealer = TokenSealer([NEW])
    sealed = sealer.seal("default", "job-1", TOKEN, sealed_as).data
    assert sealer.open("default", "job-1", sealed, sealed_as) == TOKEN
    with pytest.raises(SealedTokenError):
        sealer.open("default", "job-1", sealed, opened_as)


def test_a_token_that_was_sealed_before_there_were_purposes_opens() -> None:
    header, nonce = b"\x01\x042024", bytes(12)
    bound = b"".join(len(part).to_bytes(4, "big") + part for part in (header, b"default", b"job-1"))
    sealed = header + nonce + AESGCM(NEW.secret).encrypt(nonce, TOKEN.encode(), bound)
    assert TokenSealer([NEW]).open("default", "job-1", sealed) == TOKEN


def test_what_is_sealed_names_its_key() -> None:
    assert key_id_of(TokenSealer([OLD]).seal("default", "job-1", TOKEN, Purpose.GRANT).data) == OLD.id
    with pytest.raises(SealedTokenError):
        key_id_of(b"nothing sealed")


def test_every_changed_or_missing_byte_is_noticed() -> None:
    sealer = TokenSealer([NEW])
    data = sealer.seal("default", "job-1", TOKEN).data
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        for wrong in (changed, data[:position]):
            with pytest.raises(SealedTokenError):
                sealer.open("default", "job-1", wrong)


def test_a_token_sealed_twice_looks_different_and_hides_its_text() -> None:
    sealer = TokenSealer([NEW])
    first, second = (sealer.seal("default", "job-1", TOKEN).data for _ in range(2))
    assert first != second
    assert TOKEN.encode() not in first


def test_after_a_rotation_old_tokens_open_and_new_ones_use_the_new_key() -> None:
    before, after = TokenSealer([OLD]), TokenSealer([NEW, OLD])
    sealed = before.seal("default", "job-1", TOKEN)
    assert after.open("default", "job-1", sealed.data) == TOKEN
    assert after.seal("default", "job-1", TOKEN).key_id == NEW.id


def test_a_key_that_is_gone_is_named_so_that_it_can_be_put_back() -> None:
    sealed = TokenSealer([OLD]).seal("default", "job-1", TOKEN)
    with pytest.raises(UnknownSealingKeyError, match="2023"):
        TokenSealer([NEW]).open("default", "job-1", sealed.data)


def test_the_hash_of_a_body_stays_the_same_while_keys_are_added() -> None:
    old, new = TokenSealer([OLD]).body_hashes(b"{}"), TokenSealer([NEW]).body_hashes(b"{}")
    assert old != new
    assert TokenSealer([OLD]).body_hashes(b"{ }") != old
    assert TokenSealer([NEW, OLD]).body_hashes(b"{}") == new + old
    assert TokenSealer([OLD, NEW]).body_hashes(b"{}") == old + new


@pytest.mark.parametrize("keys", [[], [NEW, SealingKey("2024", b"x" * KEY_BYTES)]])
def test_a_sealer_needs_keys_with_different_ids(keys: list[SealingKey]) -> None:
    with pytest.raises(SealingKeyError):
        TokenSealer(keys)


def test_a_key_is_not_shown() -> None:
    assert "nnn" not in repr(NEW)


def test_the_first_start_writes_a_key_that_later_starts_find(tmp_path: Path) -> None:
    path = tmp_path / "data" / "sealing.key"
    first = load_or_create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_key(path) == first
    assert [entry.name for entry in path.parent.iterdir()] == ["sealing.key"]


def test_of_two_first_starts_at_once_one_key_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sealing.key"
    link = os.link

    def link_second(aside: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        other = load_or_create_key(target)
        assert other == load_or_create_key(target)
        link(aside, target)

    monkeypatch.setattr(os, "link", link_second)
    assert load_or_create_key(path) == load_or_create_key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sealing.key"
    load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_or_create_key(path)


def test_a_key_file_that_cannot_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sealing.key").mkdir(mode=0o700)
    with pytest.raises(KeyFileError, match=r"sealing\.key cannot be used: Is a directory\.$"):
        load_or_create_key(tmp_path / "sealing.key")


@pytest.mark.parametrize(("error", "advice"), [(errno.EACCES, True), (errno.ENOSPC, False)])
def test_only_who_may_not_use_a_key_file_is_told_to_change_its_owner(
    error: int, advice: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(KeyFileError, match=os.strerror(error)) as told:
        load_or_create_key(tmp_path / "sealing.key")
    assert ("Give it and its folder to the user" in str(told.value)) is advice


def test_a_key_file_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(KeyFileError, match="cannot be used"):
        load_or_create_key(tmp_path / "data" / "sealing.key")


def test_a_cut_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="32 bytes"):
        load_or_create_key(path)
