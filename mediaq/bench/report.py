"""All measures of the queue, one after the other, as figures with their floors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from mediaq.bench import claims, drain, fanout, inserts, latency
from mediaq.bench.figures import Figure, median, percentile
from mediaq.settings import Database

CONCURRENCY = 10
WIDE = 50
SAMPLES = 200
EVENTS = 20
FANOUT_GOAL = 250.0
"""Milliseconds in which 99 of 100 listeners should have heard of an event."""

MEASURES = ("latency", "drain", "inserts", "claims", "fanout")
"""What can be asked for."""


async def figures(
    database: Database,
    *,
    rounds: int,
    jobs: int,
    rows: int,
    listeners: int,
    only: tuple[str, ...],
) -> AsyncIterator[Figure]:
    """Measure what is asked for (all by default); each figure is the median of ``rounds``.

    Rounds of ours and of the floor alternate, so that whatever else the machine does meets both.
    """
    measures = {
        "latency": _latency(database, rounds),
        "drain": _drain(database, rounds, jobs),
        "inserts": _inserts(database, rounds),
        "claims": _claims(database, rounds, rows),
        "fanout": _fanout(database, rounds, listeners),
    }
    for name in MEASURES:
        if name in (only or MEASURES):
            async for figure in measures[name]:
                yield figure


async def _latency(database: Database, rounds: int) -> AsyncIterator[Figure]:
    pairs = [
        (await latency.ours(database, SAMPLES), await latency.bare(database, SAMPLES))
        for _ in range(rounds)
    ]
    beside = "bare LISTEN and one claim"
    for share, name, most in ((0.5, "p50", 3.0), (0.99, "p99", 6.0)):
        yield Figure(
            f"pick-up of a request by an idle worker, {name}",
            median([percentile(ours, share) for ours, _ in pairs]),
            median([percentile(bare, share) for _, bare in pairs]),
            "ms",
            beside,
            at_most=most,
            rounds=rounds,
        )
    yield Figure(
        f"pick-up of a request by an idle worker, the longest of {rounds * SAMPLES:,}",
        max(max(ours) for ours, _ in pairs),
        max(max(bare) for _, bare in pairs),
        "ms",
        beside,
        rounds=rounds,
    )


async def _drain(database: Database, rounds: int, jobs: int) -> AsyncIterator[Figure]:
    async def rate(of: Callable[[Database, int, int], Awaitable[float]], width: int) -> float:
        return await of(database, jobs, width)

    stock: dict[int, list[float]] = {CONCURRENCY: [], WIDE: []}
    ours: dict[int, list[float]] = {CONCURRENCY: [], WIDE: []}
    requests: dict[int, list[float]] = {CONCURRENCY: [], WIDE: []}
    peers: dict[int, list[float]] = {CONCURRENCY: [], WIDE: []}
    for _ in range(rounds):
        for width in (CONCURRENCY, WIDE):
            stock[width].append(await rate(drain.stock, width))
            ours[width].append(await rate(drain.ours, width))
            requests[width].append(await rate(drain.requests, width))
            peer = await drain.pgqueuer(database, jobs, width)
            if peer is not None:
                peers[width].append(peer)
    for width in (CONCURRENCY, WIDE):
        at_once = f"{width} at once"
        beside = f"stock Procrastinate, bare jobs, {at_once}"
        floor = median(stock[width])
        yield Figure(
            f"bare jobs, {at_once}",
            median(ours[width]),
            floor,
            "/s",
            beside,
            at_least=6,
            rounds=rounds,
        )
        yield Figure(
            f"requests with rows and events, {at_once}",
            median(requests[width]),
            floor,
            "/s",
            beside,
            at_least=2,
            rounds=rounds,
        )
        if peers[width]:
            yield Figure(
                f"bare jobs, {at_once}",
                median(ours[width]),
                median(peers[width]),
                "/s",
                f"PgQueuer, batches of {width}",
                rounds=rounds,
            )


async def _inserts(database: Database, rounds: int) -> AsyncIterator[Figure]:
    for name, rows, statements in (("single", 1, 300), ("bulk of 10,000", 10_000, 1)):
        pairs = [await inserts.seconds(database, rows, statements) for _ in range(rounds)]
        yield Figure(
            f"INSERT that queues, {name}, per row",
            median([ours for ours, _ in pairs]) * 1e6,
            median([bare for _, bare in pairs]) * 1e6,
            "µs",
            "INSERT without triggers",
            rounds=rounds,
        )


async def _claims(database: Database, rounds: int, rows: int) -> AsyncIterator[Figure]:
    found = [await claims.costs(database, rows) for _ in range(rounds)]
    empty = median([costs["empty"] for costs in found])
    for situation in claims.SITUATIONS:
        yield Figure(
            f"claim with {rows:,} {situation}",
            median([costs[situation] for costs in found]),
            empty,
            "ms",
            "an empty table",
            at_most=1.5,
            rounds=rounds,
        )


async def _fanout(database: Database, rounds: int, listeners: int) -> AsyncIterator[Figure]:
    found = [await fanout.measure(database, listeners, EVENTS) for _ in range(rounds)]
    for name, taken in (
        (f"an event to {listeners:,} listeners", [one.broadcast for one in found]),
        (f"an event to its one of {listeners:,} listeners", [one.targeted for one in found]),
    ):
        yield Figure(
            f"{name}, p50",
            median([percentile(times, 0.5) for times in taken]),
            None,
            "ms",
            rounds=rounds,
        )
        yield Figure(
            f"{name}, p99",
            median([percentile(times, 0.99) for times in taken]),
            FANOUT_GOAL,
            "ms",
            "the goal",
            at_most=1,
            rounds=rounds,
        )
    each = [one.bytes_each for one in found if one.bytes_each is not None]
    if each:
        yield Figure(
            "memory of a listener in the API", median(each) / 1000, None, "kB", rounds=rounds
        )
