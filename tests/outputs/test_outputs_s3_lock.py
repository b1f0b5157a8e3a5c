"""The lease on a prefix of an object store."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import obstore
import pytest
from fixtures_objects import new_bucket, proxied, serve_s3, use_s3
from fixtures_waiting import wait_until

from s2s_map.errors import OutputError, OutputUnavailableError
from s2s_map.outputs import lock as waiting
from s2s_map.outputs import s3_lock as object_lock
from s2s_map.outputs.owner import Owner, process_start
from s2s_map.outputs.path import ObjectPath
from s2s_map.outputs.s3_client import REQUEST_S, RETRY_S, object_client
from s2s_map.outputs.s3_lock import (
    LEASE_S,
    LOCK,
    ObjectLock,
    read_lease,
    store_weaknesses,
)

# No process of that number started then.
GONE = f"{Owner.myself().process_start.rpartition('/')[0]}/1"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture
def root(server: str, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    use_s3(monkeypatch, server)
    return ObjectPath(f"s3://{new_bucket(server)}", "run")


def leave_lock(root: ObjectPath, **changes: object) -> Owner:
    elsewhere = {"host": "elsewhere", "process_start": "another-boot/pid:[1]/1"}
    owner = replace(Owner.myself(), **{**elsewhere, **changes})  # type: ignore[arg-type]
    (root / LOCK).write_bytes(json.dumps(asdict(owner)).encode())
    return owner


def beat_of(root: ObjectPath) -> int:
    lease = read_lease(root)
    assert lease is not None
    return lease.owner.beat


def test_held_and_given_back(root: ObjectPath) -> None:
    lock = ObjectLock(root, beat_s=0.05, lease_s=5)
    lock.acquire()
    first = read_lease(root)
    assert first is not None
    wait_until(lambda: beat_of(root) > first.owner.beat)
    lock.check()
    later = read_lease(root)
    assert later is not None
    assert later.owner.run == first.owner.run
    lock.release()
    assert read_lease(root) is None
    assert [path.name for path in root.iterdir()] == []


def test_another_run_of_this_host_is_refused_while_it_lives(root: ObjectPath) -> None:
    # Process 1 lives, and is not this one.
    leave_lock(root, pid=1, process_start=process_start(1))
    with pytest.raises(OutputError, match=r"another run is writing to s3://.* \(process 1 on"):
        ObjectLock(root).acquire()


def test_a_dead_process_of_this_host_is_succeeded_at_once(root: ObjectPath) -> None:
    leave_lock(root, pid=1, process_start=GONE)
    notes: list[str] = []
    lock = ObjectLock(root, notes.append)
    lock.acquire()
    assert "took" in notes[0]
    lock.release()


def test_another_host_of_the_same_name_is_waited_for(root: ObjectPath) -> None:
    # Machines from one image share name and process numbers, but not the boot.
    like_this = Owner.myself()
    leave_lock(root, host=like_this.host, pid=2**22 + 1)

    def renew(said: str) -> None:
        leave_lock(root, host=like_this.host, beat=2)

    with pytest.raises(OutputError, match="another run is writing"):
        ObjectLock(root, renew, beat_s=0.1, lease_s=60).acquire()


def test_a_lease_outlives_every_put() -> None:
    assert RETRY_S + REQUEST_S < LEASE_S


def test_giving_back_leaves_alone_who_took_it_meanwhile(server: str, root: ObjectPath) -> None:
    lock = ObjectLock(root, lease_s=5)
    lock.acquire()
    direct = object_client(root.bucket)
    with proxied(server) as proxy:
        seen: list[str] = []

        def take_it(method: str, path: str, n: int) -> None:
            if method == "PUT" and not seen:  # Between reading the lock and removing it.
                seen.append(path)
                other = {**asdict(Owner.myself()), "host": "elsewhere"}
                obstore.put(direct, f"{root.key}/{LOCK}", json.dumps(other).encode())

        proxy.answer = take_it
        lock.release()
    found = read_lease(root)
    assert seen
    assert found is not None
    assert found.owner.host == "elsewhere"


def test_a_lease_elsewhere_that_runs_out_is_taken_over(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_lock(root)
    notes: list[str] = []
    # The lease runs out by a clock that only waiting moves.
    clock = Clock()
    monkeypatch.setattr(object_lock, "time", clock)
    monkeypatch.setattr(waiting, "time", clock)
    lock = ObjectLock(root, notes.append, lease_s=200)
    lock.acquire()
    assert 100 < clock.now < 202
    assert "waiting to see" in notes[0]
    assert "which is gone" in notes[-1]
    lock.release()


@dataclass
class Clock:
    """Stands for the module `time`."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_lease_elsewhere_that_is_renewed_is_kept(root: ObjectPath) -> None:
    leave_lock(root)

    def renew(said: str) -> None:
        assert "waiting to see" in said
        leave_lock(root, beat=2)

    with pytest.raises(OutputError, match="another run is writing"):
        ObjectLock(root, renew, beat_s=0.1, lease_s=60).acquire()


def test_of_many_who_come_after_one_gets_it(root: ObjectPath) -> None:
    leave_lock(root, pid=1, process_start=GONE)
    start = threading.Barrier(6)
    got: list[ObjectLock] = []
    refused: list[str] = []

    def come() -> None:
        lock = ObjectLock(root, beat_s=0.1, lease_s=4)
        start.wait()
        try:
            lock.acquire()
            got.append(lock)
        except OutputError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)
    got[0].check()
    got[0].release()


def test_who_lost_it_must_not_go_on(root: ObjectPath) -> None:
    lock = ObjectLock(root, beat_s=0.05, lease_s=5)
    lock.acquire()
    other = leave_lock(root)
    assert lock._thread is not None
    lock._thread.join()
    with pytest.raises(OutputError, match="another run took"):
        lock.check()
    lock.release()
    found = read_lease(root)
    assert found is not None
    assert found.owner == other


def test_who_cannot_renew_must_not_go_on(
    server: str, root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(server) as proxy:
        lock = ObjectLock(root, beat_s=0.05, lease_s=0.4)
        lock.acquire()
        proxy.answer = lambda method, path, n: (403, "AccessDenied")
        wait_until(lambda: time.monotonic() - lock._renewed > 0.4)
        with pytest.raises(
            OutputUnavailableError, match=r"not be renewed for 0.4 s; check the net"
        ):
            lock.check()
        lock.release()


def test_weaknesses(server: str, root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_weaknesses(root) == []
    with proxied(server) as proxy:
        proxy.drop = ("If-None-Match",)
        assert "does not heed conditions" in store_weaknesses(root)[0]
        proxy.drop = ("If-Match",)
        assert "does not heed conditions" in store_weaknesses(root)[0]
        proxy.drop, proxy.reply = (), {"last-modified": "Mon, 02 Nov 2026 00:00:00 GMT"}
        assert "the clock of" in store_weaknesses(root)[0]
        proxy.answer = lambda m, p, n: (403, "AccessDenied") if m == "PUT" else None
        with pytest.raises(OutputError, match="access denied"):
            store_weaknesses(root)
    assert [path.name for path in root.iterdir()] == []


def test_an_answer_that_gets_lost(root: ObjectPath) -> None:
    # The put arrives, its answer does not; tried again, its condition is no longer met.
    lock = ObjectLock(root, beat_s=10, lease_s=30)
    (root / LOCK).write_bytes(lock._content())
    lock.acquire()
    lock.check()
    lock.release()
    assert read_lease(root) is None
