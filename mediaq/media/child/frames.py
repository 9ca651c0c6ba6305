"""Even frames of a video: plan, take, and mend what a damaged or odd file spoils."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediaq.media.child import plan as planning
from mediaq.media.child.better import Better, improve
from mediaq.media.child.better import told as told_of
from mediaq.media.child.crew import Crew, Take
from mediaq.media.child.film import Film, list_frames
from mediaq.media.child.plan import Ask, Plan, Slot
from mediaq.media.child.refusal import Refusal
from mediaq.media.child.times import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from av.video.frame import VideoFrame

    from mediaq.media.child.picture import Shot

# A larger file is not read through to mend a few frames.
MENDABLE = 4 * 1024 * 1024 * 1024
# How many other frames are tried for one that cannot be decoded.
TRIES = 4
# A frame that comes out further from its place than this is not the one meant.
ASTRAY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Taken:
    """The frames in order of time, all different, and how they were come by.

    ``replaced`` tells by place what was wrong with the frame that another one stands in for.
    """

    takes: tuple[Take, ...]
    duration: float
    spacing: float
    exact: bool
    notes: tuple[str, ...]
    replaced: Mapping[int, str]


class Studio:
    """Everything that taking frames of one film needs, for as many rounds as it takes."""

    def __init__(
        self,
        film: Film,
        ask: Ask,
        develop: Callable[[VideoFrame, Slot], Shot],
        tell: Callable[[float], None],
    ) -> None:
        self._film = film
        self._ask = ask
        self._develop = develop
        self._tell = tell
        self._notes: list[str] = []
        self._lost: set[int] = set()
        self._spare: list[Take] = []
        self._told = 0.0

    def take(self) -> Taken:
        """Take the frames asked for, or as many different ones as there are."""
        plan = make_plan(self._film, self._ask)
        told = self._film.duration()
        if plan.listing is not None and told is not None and told - plan.duration > plan.reach:
            self._note_cut(plan, told)
        takes = self._round(plan, self._film)
        if len(takes) < len(plan.slots) and self._film.size <= MENDABLE:
            plan, takes = self._mend(plan, takes)
            filled = {take.slot.place for take in takes}
            spare = [take for take in self._spare if take.slot.place not in filled]
            takes = _different([*takes, *spare])[: len(plan.slots)]
        if not takes:
            msg = f"no frame of {self._film.name} could be decoded"
            raise Refusal(msg)
        if missing := len(plan.slots) - len(takes):
            were = "was" if missing == 1 else "were"
            self._notes.append(
                f"{missing} of {len(plan.slots)} frames could not be decoded and {were} left out."
            )
        takes.sort(key=lambda take: take.seconds)
        exact = all(take.slot.key is None and not take.slot.look for take in takes)
        better = Better(takes, {})
        if self._ask.choose and not self._ask.exact:
            better = improve(self._film, plan, takes, self._round)
        notes = (*plan.notes, *self._notes, *told_of(better.replaced))
        exact = self._ask.exact or (exact and not better.replaced)
        return Taken(
            tuple(better.takes), plan.duration, plan.spacing, exact, notes, better.replaced
        )

    def _note_cut(self, plan: Plan, told: float) -> None:
        self._notes.append(
            f"Only {plan.duration:.1f} s of the {told:.1f} s of video can be read;"
            " the frames are spread over that part."
        )

    def _round(self, plan: Plan, film: Film | None = None) -> list[Take]:
        """Take the frames of ``plan``; the same frame is kept once."""

        def count(done: int) -> None:
            self._told = max(self._told, min(1.0, done / len(plan.slots)))
            self._tell(self._told)

        fresh = film or Film(self._film.path, self._film.name)
        takes = Crew(fresh, self._develop, count).take(plan)
        good = [take for take in takes if not self._astray(take, plan)]
        self._spare += [take for take in takes if take not in good]
        got = {take.slot.place for take in good}
        self._lost |= {slot.stamp for slot in plan.slots if slot.place not in got}
        return _different(good)

    def _astray(self, take: Take, plan: Plan) -> bool:
        """Tell whether damage made the decoder come out at quite another frame."""
        if take.slot.number is not None:
            return False
        beside = (take.stamp - take.slot.stamp) * self._film.tick
        reach = max(plan.reach, ASTRAY_SECONDS)
        return beside > reach or (plan.sure and beside < -reach)

    def _mend(self, plan: Plan, takes: list[Take]) -> tuple[Plan, list[Take]]:
        """Look through all packets for what is really there, then take others for lost frames."""
        if plan.listing is None:
            listing = list_frames(self._film.path, self._film.name)
            known = planning.from_listing(self._film, self._ask, listing)
            cut = plan.duration - known.duration > plan.reach
            if cut:
                self._note_cut(known, plan.duration)
            if cut or len(known.slots) < len(plan.slots):
                plan, takes = known, self._round(known)
        else:
            listing = plan.listing
        tried = {take.stamp for take in takes}
        if listing.counted:
            return plan, takes
        keys = [listing.stamps[k] for k in listing.keys]
        for _ in range(TRIES):
            # What follows the same keyframe as a lost frame is most likely lost as well.
            lost = {bisect_right(keys, stamp) for stamp in self._lost}
            free = [stamp for stamp in listing.stamps if stamp not in tried]
            sound = [stamp for stamp in free if bisect_right(keys, stamp) not in lost]
            others = _others(self._film, plan, takes, sound or free, keys)
            if not others:
                break
            tried |= {slot.stamp for slot in others}
            instead = Plan(tuple(others), plan.origin, plan.duration, plan.spacing, sure=True)
            takes = _different([*takes, *self._round(instead)])
        return plan, takes


def make_plan(film: Film, ask: Ask) -> Plan:
    """Choose by what the container tells: its index, a list of its packets, or nothing."""
    duration = film.duration()
    if duration is not None and not planning.wants_listing(film, ask, duration):
        plan = planning.from_index(film, ask, duration)
        if plan is not None:
            return plan
        if film.size > planning.SMALL_FILE:
            return planning.blind(film, ask, duration)
    return planning.from_listing(film, ask, list_frames(film.path, film.name))


def _different(takes: Iterable[Take]) -> list[Take]:
    """Keep the first take of each frame."""
    kept: dict[int, Take] = {}
    for take in takes:
        kept.setdefault(take.stamp, take)
    return list(kept.values())


def _others(
    film: Film, plan: Plan, takes: list[Take], free: list[int], keys: list[int]
) -> list[Slot]:
    """For each slot without a frame of its own choose the nearest of the ``free`` ones."""
    filled = {take.slot.place for take in takes}
    others = []
    for slot in plan.slots:
        if slot.place in filled or not free:
            continue
        wish = plan.origin + round(slot.wanted / film.tick)
        stamp = free.pop(nearest(free, wish))
        before = bisect_right(keys, stamp)
        start = keys[before - 1] if before else None
        others.append(Slot(slot.place, slot.wanted, stamp, start=start))
    return sorted(others, key=lambda slot: slot.stamp)
