"""Another frame nearby where the one at the wanted time says nothing."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mediaq.media.child.judge import EMPTY, FAULTS, fault, usual
from mediaq.media.child.plan import Plan, Slot
from mediaq.media.child.times import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mediaq.media.child.crew import Take
    from mediaq.media.child.film import Film
    from mediaq.media.child.judge import Look

# Where else is looked, in parts of the distance of wanted times and at most so many seconds away.
ELSEWHERE = ((1 / 8, 3.0), (-1 / 4, 10.0), (1 / 4, 10.0), (-1 / 8, 3.0), (3 / 8, 60.0))
# A few tiles are tried first. When so many tries help none, the video is like that: a still.
FIRST_TRIES = 4
GIVE_UP = 8


@dataclass(frozen=True, slots=True)
class Better:
    """The frames to show, and by place what was wrong with those that they replace."""

    takes: list[Take]
    replaced: dict[int, str]


def improve(
    film: Film, plan: Plan, takes: Sequence[Take], take: Callable[[Plan], list[Take]]
) -> Better:
    """Replace what is black, blank, faded, a repeat or blurred by a frame nearby that is not.

    At most as many frames are taken in addition as there are, and for a repeat or a blur only other
    keyframes. What is like that all around its time stays as it is.
    """
    search = _Search(film, plan, takes)
    left, most, in_vain = len(takes), FIRST_TRIES, 0
    while in_vain < GIVE_UP and (slots := search.next(min(left, most))):
        left -= len(slots)
        if search.choose(take(replace(plan, slots=tuple(slots)))):
            most, in_vain = len(takes), 0
        else:
            in_vain += len(slots)
    return Better(search.takes, search.replaced)


class _Search:
    """The frames as they are chosen by now, and where else can be looked."""

    def __init__(self, film: Film, plan: Plan, takes: Sequence[Take]) -> None:
        self.takes = list(takes)
        self.replaced: dict[int, str] = {}
        self._usual = usual([take.shot.look for take in takes])
        self._ways = {take.slot.place: _elsewhere(film, plan, take.slot) for take in takes}
        self._used = {take.stamp for take in takes}

    def next(self, most: int) -> list[Slot]:
        """Give for at most ``most`` tiles with a fault, evenly spread, another frame to try."""
        faulty = [at for at in range(len(self.takes)) if self._worth_a_try(at)]
        count = min(most, len(faulty))
        slots = []
        for i in range(count):
            place = self.takes[faulty[i * len(faulty) // count]].slot.place
            slot = next((s for s in self._ways[place] if s.stamp not in self._used), None)
            if slot is not None:
                self._used.add(slot.stamp)
                slots.append(slot)
        return sorted(slots, key=lambda slot: slot.stamp)

    def _worth_a_try(self, at: int) -> bool:
        """Tell whether a frame has a fault; decoding up to another one is dear."""
        wrong = self._fault(at, self.takes[at].shot.look)
        return wrong in EMPTY or (wrong is not None and self.takes[at].slot.key is not None)

    def choose(self, others: Sequence[Take]) -> bool:
        """Put those of ``others`` in that are better; tell whether any is."""
        at_place = {take.slot.place: at for at, take in enumerate(self.takes)}
        helped = False
        for other in others:
            at = at_place[other.slot.place]
            was, now = (self._fault(at, take.shot.look) for take in (self.takes[at], other))
            if was is not None and _rank(now) > _rank(was) and self._in_order(at, other):
                self.replaced.setdefault(other.slot.place, was)
                self.takes[at], helped = other, True
        return helped

    def _fault(self, at: int, look: Look) -> str | None:
        """Name what is wrong with ``look`` there; what is new must not be like the next either."""
        beside = [self.takes[at - 1].shot.look] if at else []
        if look is not self.takes[at].shot.look and at + 1 < len(self.takes):
            beside.append(self.takes[at + 1].shot.look)
        return fault(look, self._usual, *beside)

    def _in_order(self, at: int, other: Take) -> bool:
        """Tell whether ``other`` comes after the frame before and before the one after."""
        before = self.takes[at - 1].stamp if at else other.stamp - 1
        after = self.takes[at + 1].stamp if at + 1 < len(self.takes) else other.stamp + 1
        return before < other.stamp < after


def told(replaced: dict[int, str]) -> list[str]:
    """Say in a sentence what was replaced, if anything was."""
    if not replaced:
        return []
    counts = Counter(replaced.values())
    kinds = " and ".join(f"{counts[kind]} {kind}" for kind in FAULTS if counts[kind])
    if len(replaced) == 1:
        return [f"Instead of {kinds} frame another one nearby is shown."]
    return [f"Instead of {kinds} frames others nearby are shown."]


def _rank(fault: str | None) -> int:
    return len(FAULTS) if fault is None else FAULTS.index(fault)


def _elsewhere(film: Film, plan: Plan, slot: Slot) -> Iterator[Slot]:
    """Name frames near the wanted time, near ones first: keyframes where one was taken."""
    if slot.number is not None:
        # Without time stamps another frame costs a decode from the start.
        return
    times = [seconds for seconds, _ in plan.keys]
    for part, most in ELSEWHERE:
        away = max(-most, min(most, part * plan.spacing))
        when = slot.wanted + away
        if not 0 <= when < plan.duration:
            continue
        if slot.key is not None and times:
            seconds, stamp = plan.keys[nearest(times, when)]
            if abs(seconds - slot.wanted) < plan.reach:
                yield Slot(slot.place, slot.wanted, film.stamp(seconds), key=stamp)
            continue
        stamp = film.stamp(when)
        if plan.listing is not None:
            stamp = plan.listing.stamps[max(0, bisect_right(plan.listing.stamps, stamp) - 1)]
        start = plan.keys[max(0, bisect_right(times, when) - 1)][1] if times else None
        yield Slot(slot.place, slot.wanted, stamp, start=start, look=slot.look)
