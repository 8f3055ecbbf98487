"""Who works on a fit: one owner, dead ones replaced at once, silent ones after a lease."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from aexad.bench.base.errors import UserError
from aexad.bench.run import claims
from aexad.bench.run.claims import Held, Lost, Watch, look, take, taken

FORK = multiprocessing.get_context("fork")


def plant(folder, number: int = 1, **owner) -> None:
    """A claim as somebody else left it."""
    mine = {"host": "elsewhere", "machine": "another boot", "pid": 1, "started": "1", "id": "x"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"claim-{number}").write_text(json.dumps(mine | owner) + "\n000000000000\n")


def left_by_a_killed_process(folder) -> None:
    def hold() -> None:
        take(folder)
        os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=hold)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_one_owner_and_nothing_left_behind(tmp_path):
    with taken(tmp_path / "fit"):
        with pytest.raises(Held, match=f"process {os.getpid()} on "):
            take(tmp_path / "fit")
    assert not os.listdir(tmp_path / "fit")


def test_an_owner_that_was_killed_is_replaced_at_once(tmp_path):
    left_by_a_killed_process(tmp_path / "fit")
    assert look(tmp_path / "fit").dead and Watch(tmp_path / "fit").free()
    with taken(tmp_path / "fit") as claim:
        assert claim.path.name == "claim-2"
        with pytest.raises(Held):
            take(tmp_path / "fit")
    assert not os.listdir(tmp_path / "fit")  # the dead one's went with it


def test_an_owner_that_ended_and_was_not_waited_for_is_dead(tmp_path):
    pid = os.fork()
    if pid == 0:
        take(tmp_path / "fit")
        os._exit(0)
    try:
        while claims._started(pid) != "ended":
            time.sleep(0.01)
        assert look(tmp_path / "fit").dead
    finally:
        os.waitpid(pid, 0)


def test_a_process_that_only_has_the_same_number_is_another(tmp_path):
    plant(tmp_path, machine=claims.machine(), pid=os.getpid(), started="17")
    assert look(tmp_path).dead
    plant(tmp_path, machine=claims.machine(), pid=os.getpid(),
          started=claims._started(os.getpid()))
    assert not look(tmp_path).dead


@pytest.mark.parametrize("owner", [{"machine": "another boot"}, {"pid": "no number"},
                                   {"pid": None}])
def test_who_is_not_provably_dead_is_alive(tmp_path, owner):
    plant(tmp_path, **{"machine": claims.machine(), "pid": 2**22 + 1} | owner)
    with pytest.raises(Held):
        take(tmp_path)


def test_a_claim_that_is_not_whole_waits_for_its_lease(tmp_path):
    (tmp_path / "claim-1").write_bytes(b'{"pid": \xff')
    with pytest.raises(Held, match="process ? on ?".replace("?", r"\?")):
        take(tmp_path)
    with taken(tmp_path, expired=look(tmp_path)) as claim:
        assert claim.path.name == "claim-2"


def test_a_lease_is_what_the_observer_sees_by_its_own_clock(tmp_path):
    now = 1000.0
    plant(tmp_path)
    os.utime(tmp_path / "claim-1", (0, 0))  # what the files' times say never counts
    watch = Watch(tmp_path, lease=60, clock=lambda: now)
    for now, free in ((1059.0, False), (1060.0, False), (1061.0, True)):
        assert watch.free() is free
    (tmp_path / "claim-1").write_text((tmp_path / "claim-1").read_text()[:-2] + "7\n")
    now = 5000.0  # long not looked; but the owner has counted
    assert not watch.free()
    now = 5059.0
    assert not watch.free()
    now = 5061.0
    assert watch.free() and take(tmp_path, expired=watch.seen).path.name == "claim-2"


def test_a_claim_that_moved_since_it_was_watched_is_not_taken(tmp_path):
    plant(tmp_path)
    seen = look(tmp_path)
    (tmp_path / "claim-1").write_text(seen.text[:-2] + "1\n")
    with pytest.raises(Held):
        take(tmp_path, expired=seen)


def test_an_owner_counts_and_its_watchers_see_it(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "RENEWED", 0.01)
    with taken(tmp_path / "fit") as claim:
        seen = [look(tmp_path / "fit")]
        while len(seen) < 4:
            if (now := look(tmp_path / "fit")) != seen[-1]:
                seen.append(now)
        counts = [int(s.text.splitlines()[1]) for s in seen]
        assert counts == sorted(counts) and counts[-1] >= 3
        claim.check()


def test_a_suspended_owner_finds_its_claim_gone_and_leaves_the_other_alone(tmp_path):
    slept = take(tmp_path)
    other = take(tmp_path, expired=look(tmp_path))
    for attempt in (slept.check, slept.renew):
        with pytest.raises(Lost, match="taken over by process"):
            attempt()
    slept.release()
    other.check()
    other.release()
    assert not list(tmp_path.glob("claim-*"))
    with pytest.raises(Lost):
        slept.check()
    fresh = take(tmp_path)  # under the number that the suspended one had
    assert fresh.number == slept.number
    with pytest.raises(Lost):
        slept.check()
    fresh.check()
    fresh.release()


def test_an_owner_that_is_slow_to_release_removes_no_other_s_claim(tmp_path, monkeypatch):
    """After each file that it removes another comes, works, releases, and comes again."""
    left_by_a_killed_process(tmp_path / "fit")
    slow, came, unlink = take(tmp_path / "fit"), [], Path.unlink

    def then_another(path, missing_ok=False):
        unlink(path, missing_ok)
        if path.name in ("claim-1", "claim-2") and not came:
            monkeypatch.setattr(Path, "unlink", unlink)
            try:
                take(tmp_path / "fit").release()
                came.append(take(tmp_path / "fit"))
            except Held:
                pass
            monkeypatch.setattr(Path, "unlink", then_another)

    monkeypatch.setattr(Path, "unlink", then_another)
    slow.release()
    [other] = came
    other.check()
    with pytest.raises(Held):
        take(tmp_path / "fit")
    other.release()
    assert not os.listdir(tmp_path / "fit")


def test_taking_over_what_was_released_meanwhile(tmp_path, monkeypatch):
    """One that found the claim dead is slow; another took it over, did the work, and released it,
    and a third has the fit now: the slow one must not stand on what is not there any more."""
    left_by_a_killed_process(tmp_path / "fit")
    make, thirds = claims._make, []

    def slow(path, content):
        monkeypatch.setattr(claims, "_make", make)
        take(tmp_path / "fit").release()
        thirds.append(take(tmp_path / "fit"))
        return make(path, content)

    monkeypatch.setattr(claims, "_make", slow)
    with pytest.raises(Held):
        take(tmp_path / "fit")
    thirds[0].check()
    thirds[0].release()


def test_without_hard_links(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with taken(tmp_path / "fit"):
        with pytest.raises(Held):
            take(tmp_path / "fit")
    assert not os.listdir(tmp_path / "fit")


# -- several processes --

def compete(folders, expired, seed, log, start, end) -> None:
    """Try every folder once, and keep what was got until all have tried."""
    order = list(folders)
    random.Random(seed).shuffle(order)
    start.wait()
    mine = []
    for folder in order:
        try:
            mine.append(take(folder, expired.get(folder)))
        except Held:
            continue
        os.write(log, f"{folder.name}\n".encode())
    end.wait()
    for claim in mine:
        claim.check()
        claim.release()


def test_a_full_disk_leaves_no_half_claim(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(claims.os, "write", full)
        with pytest.raises(UserError, match="No space left"):
            claims.take(tmp_path / "f")
    assert list((tmp_path / "f").iterdir()) == []
    claims.take(tmp_path / "f").release()


def test_of_many_claims_each_has_exactly_one_owner(tmp_path):
    """A third are free, a third of a dead process, a third seen by all to stand still."""
    folders = [tmp_path / "fits" / str(i) for i in range(60)]
    for i, folder in enumerate(folders):
        if i % 3 == 1:
            plant(folder, machine=claims.machine(), pid=os.getpid(), started="17")
        elif i % 3 == 2:
            plant(folder)
    expired = {folder: look(folder) for folder in folders[2::3]}
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    start, end = FORK.Barrier(4), FORK.Barrier(4)
    processes = [FORK.Process(target=compete, args=(folders, expired, i, log, start, end))
                 for i in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    won = (tmp_path / "log").read_text().split()
    assert sorted(won, key=int) == [str(i) for i in range(60)]
    assert not list(tmp_path.glob("fits/*/*"))  # all released, the dead ones' too


def visit(folders, seed, start) -> None:
    """Own and release again and again; while one owns a folder nobody else may be in it. Some
    leave without a word."""
    draw = random.Random(seed)
    start.wait()
    for _ in range(150):
        folder = draw.choice(folders)
        try:
            claim = take(folder)
        except Held:
            continue
        inside = folder.parent / f"{folder.name}.inside"
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # FileExistsError: two owners
        time.sleep(draw.random() / 1000)
        try:
            claim.check()
        except Lost:  # by one that rolls back; both know it, and only one was in
            pass
        inside.unlink()
        if draw.random() < 0.2:  # as one that was killed: its claim stays
            dead = json.dumps({"machine": claims.machine(), "pid": os.getpid(), "started": "17",
                               "host": "here", "id": claim.text[-20:]})
            building = folder / f"dead-{seed}"
            building.write_text(dead + "\n0\n")
            claim._over.set()
            try:
                claim.check()
                os.replace(building, claim.path)
            except Lost:
                building.unlink()
        else:
            claim.release()


def test_owners_follow_one_another_and_never_meet(tmp_path):
    folders = [tmp_path / str(i) for i in range(3)]
    start = FORK.Barrier(4)
    processes = [FORK.Process(target=visit, args=(folders, i, start)) for i in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
