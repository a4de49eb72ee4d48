"""Power loss: what was acknowledged is there without help, however much unsynced is gone."""

import collections
import random
import re
import subprocess
import time

import workload
from model import Ledger
from test_kill import assert_intact, everything_disappears

BUCKET = "power"
WORKERS = 6
# Bodies up to this size are kept in the metadata: more than by default, so that its tables are
# written after some hundred of them.
INLINE_BYTES = 64 * 1024
# What cuts must have taken away, and a server must have done, for the test to prove something.
WANTED = ["restored-sectors", "shortened-files", "lost-names", "holes"]
# Rounds at least, and at most while something wanted was not seen.
ROUNDS = range(6, 24)
# Around which syncs power is lost, in turn, so that no seed leaves some of them out for good.
SYNCS = [
    ("cut-after", "/meta"),
    ("cut-sync", "/volumes"),
    ("cut-sync", "/meta"),
    ("cut-after", "/volumes"),
    ("cut-sync", ""),
    ("cut-after", ""),
]


def test_power_loss_under_load(faults, seed, seconds, make_client):
    chance = random.Random(seed)
    ledger = Ledger()
    faults.server.arguments += ["--inline-threshold", f"{INLINE_BYTES // 1024}KiB"]
    server = faults.start()
    make_client(server).create_bucket(Bucket=BUCKET)
    deadline = time.monotonic() + seconds
    rounds = starts_cut = tables_cut = 0
    total = collections.Counter()
    while (
        time.monotonic() < deadline
        or rounds < ROUNDS.start
        or (rounds < ROUNDS.stop and not all(total[name] for name in WANTED))
    ):
        plan = make_plan(rounds, chance)
        workload.run_until(
            lambda plan=plan: cut_as_planned(faults, plan),
            lambda: make_client(server),
            BUCKET,
            ledger,
            seed + rounds,
            WORKERS,
            sizes=plan.sizes,
        )
        tables_cut += plan.sizes == [INLINE_BYTES] and faults.ended_by_itself
        said = f"round {rounds}, seed {seed}: {count_losses(faults, total)}"
        # Now and then power is lost again while the server recovers.
        if chance.random() < 0.4:
            faults.spawn(seed + rounds, f"cut-sync {chance.randint(1, 12)}")
            try:
                server.process.wait(chance.uniform(0.2, 2.0))
            except subprocess.TimeoutExpired:
                pass
            faults.cut()
            said += f", then while it starts: {count_losses(faults, total)}"
            starts_cut += 1
        if rounds % 4 == 1:
            assert_intact(faults.data, ["fsck"])
        server = faults.start(rounds + 1)
        problems = workload.verify(make_client(server), BUCKET, ledger)
        assert not problems, said + "\n" + "\n".join(problems)
        rounds += 1
    print(
        f"{rounds} power cuts, {tables_cut} amid tables, and {starts_cut} while starting, "
        f"{ledger.acknowledged} acknowledged changes, {dict(total)}"
    )
    for name in WANTED:
        assert total[name] > 0, f"{name} were not seen: the test proves little"
    assert tables_cut > 0, "no cut came while the metadata's tables were written"
    server.stop()
    assert_intact(faults.data)
    server.environment = {}
    everything_disappears(server, make_client, ledger, BUCKET)


Plan = collections.namedtuple("Plan", "command longest_seconds sizes")


def make_plan(number: int, chance: random.Random) -> Plan:
    """When a round's power is cut, and over which bodies."""
    if number % 8 == 2:
        # Rows until their tables are written, and the cut amid that, however long a slow disk takes.
        part = chance.choice(["/keyspaces/", "/tables/", "/tables"])
        return Plan(f"cut-sync {chance.randint(1, 6)} {part}", 300, [INLINE_BYTES])
    if number % 8 == 5:
        # Long enough for the space of what was replaced to be given back.
        return Plan("cut", chance.uniform(6, 8), workload.SIZES)
    seconds = chance.uniform(0.1, 1.5)
    if number % 8 == 4:
        return Plan("cut", seconds, workload.SIZES)
    # Around a sync most is at stake.
    kind, part = SYNCS[number % len(SYNCS)]
    return Plan(f"{kind} {chance.randint(1, 30)} {part}", seconds, workload.SIZES)


def cut_as_planned(faults, plan: Plan) -> None:
    if plan.command != "cut":
        faults.command(plan.command)
    try:
        faults.server.process.wait(plan.longest_seconds)
    except subprocess.TimeoutExpired:
        pass
    faults.cut()


def count_losses(faults, total: collections.Counter) -> str:
    """Adds up the library's report, and returns it."""
    line = faults.report.read_text().splitlines()[-1]
    assert line.startswith("cut "), line
    total.update({name: int(count) for name, count in re.findall(r"(\S+) (\d+)", line)})
    return line
