"""Choosing for each wanted time the cheapest way to a frame near it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from mediaq.media.child.refusal import Refusal
from mediaq.media.child.times import (
    distinct,
    even_times,
    nearest,
    prefer_keyframes,
    spaced_times,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediaq.media.child.film import Film, Listing

# Reading all packets of a file of this size takes about as long as decoding a few frames.
SMALL_FILE = 48 * 1024 * 1024
# With fewer frames than this for each wanted one, frames must be counted to be told apart.
SCARCE = 4


@dataclass(frozen=True, slots=True)
class Ask:
    """How many frames are wanted and how exactly.

    With ``choose`` a frame that says nothing gives way to another one nearby.
    """

    count: int
    interval: float | None
    exact: bool
    choose: bool = True

    def times(self, duration: float) -> list[float]:
        """Give the wanted times for a video of ``duration`` seconds."""
        if self.interval is not None:
            return spaced_times(duration, self.interval)
        return even_times(duration, self.count)

    def spacing(self, duration: float) -> float:
        """Give the distance between wanted times."""
        return self.interval if self.interval is not None else duration / self.count


@dataclass(frozen=True, slots=True)
class Slot:
    """One wanted frame: exactly one of the ways to it is set.

    ``key``: decode the keyframe with this index entry. ``number``: count frames. Otherwise decode
    to ``stamp``, from the index entry ``start`` if known; ``look`` tries a keyframe nearby first.
    """

    place: int
    wanted: float
    stamp: int
    key: int | None = None
    number: int | None = None
    start: int | None = None
    look: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All slots in order of time, and what was learnt on the way.

    ``origin`` is the time stamp of the first frame, ``spacing`` the distance of wanted times;
    ``sure`` says that the slots' time stamps are those of real frames. ``keys`` are (seconds, time
    stamp to seek to) of the keyframes, as far as they are known.
    """

    slots: tuple[Slot, ...]
    origin: int
    duration: float
    spacing: float
    notes: tuple[str, ...] = ()
    sure: bool = False
    listing: Listing | None = field(default=None, repr=False)
    keys: Sequence[tuple[float, int]] = field(default=(), repr=False)

    @property
    def reach(self) -> float:
        """How far a keyframe may lie from the time wanted."""
        return self.spacing / 2

    def groups(self, workers: int) -> list[list[Slot]]:
        """Cut the slots into runs that one decoder does best without a break."""
        if any(slot.number is not None for slot in self.slots):
            return [list(self.slots)]
        runs: list[list[Slot]] = []
        for (is_key, start), members in groupby(self.slots, lambda s: (s.key is not None, s.start)):
            run = list(members)
            if is_key:
                runs += [[slot] for slot in run]
            elif start is not None:
                runs.append(run)
            else:
                size = -(-len(run) // workers)
                runs += [run[i : i + size] for i in range(0, len(run), size)]
        return runs


def wants_listing(film: Film, ask: Ask, duration: float | None) -> bool:
    """Tell whether all packets must be read first: no index, no time stamps or few frames."""
    if duration is None or not film.seekable:
        return True
    count = len(ask.times(duration))
    frames = film.frame_count() or duration * film.rate
    return frames < count * SCARCE


def from_index(film: Film, ask: Ask, duration: float) -> Plan | None:
    """Plan with the container's index alone, or say that there is none."""
    keyframes = film.keyframes(duration)
    if keyframes is None:
        return None
    wanted, spacing = ask.times(duration), ask.spacing(duration)
    times = [seconds for seconds, _ in keyframes]
    slots = []
    for place, when in enumerate(wanted):
        at = nearest(times, when)
        near = -spacing / 2 <= times[at] - when < spacing / 2
        if near and not ask.exact:
            slots.append(Slot(place, when, film.stamp(times[at]), key=keyframes[at][1]))
        else:
            before = max(0, bisect_right(times, when) - 1)
            slots.append(Slot(place, when, film.stamp(when), start=keyframes[before][1]))
    return Plan(tuple(slots), film.origin, duration, spacing, keys=keyframes)


def blind(film: Film, ask: Ask, duration: float) -> Plan:
    """Plan where nothing tells the keyframes and the file is too large to read through."""
    slots = tuple(
        Slot(place, when, film.stamp(when), look=not ask.exact)
        for place, when in enumerate(ask.times(duration))
    )
    return Plan(slots, film.origin, duration, ask.spacing(duration))


def from_listing(film: Film, ask: Ask, listing: Listing) -> Plan:
    """Plan with every frame known."""
    stamps = listing.stamps
    if not stamps:
        msg = f"{film.name} holds no picture that can be decoded"
        raise Refusal(msg)
    origin = stamps[0]
    tick = 1 / film.rate if listing.counted else film.tick
    shown = [(stamp - origin) * tick for stamp in stamps]
    gap = shown[-1] / (len(shown) - 1) if len(shown) > 1 else 1 / film.rate
    duration = shown[-1] + max(gap, listing.last * tick)
    wanted = ask.times(duration)
    notes: tuple[str, ...] = ()
    if len(wanted) >= len(shown):
        if len(wanted) > len(shown):
            notes = (_all_shown(len(shown)),)
        wanted, picks = shown, list(range(len(shown)))
    else:
        picks = distinct(shown, wanted)
        if film.seekable and not ask.exact:
            reach = ask.spacing(duration) / 2
            picks = prefer_keyframes(picks, shown, listing.keys, wanted, reach)
    keys = set(listing.keys)
    known = [] if listing.counted else [(shown[k], stamps[k]) for k in listing.keys]
    slots = []
    for place, (when, pick) in enumerate(zip(wanted, picks, strict=True)):
        stamp = stamps[pick]
        if listing.counted:
            slots.append(Slot(place, when, stamp, number=stamp))
        elif pick in keys and film.seekable:
            slots.append(Slot(place, when, stamp, key=stamp))
        else:
            at = bisect_right(listing.keys, pick) - 1
            start = stamps[listing.keys[at]] if at >= 0 else None
            slots.append(Slot(place, when, stamp, start=start))
    return Plan(
        tuple(slots),
        origin,
        duration,
        ask.spacing(duration),
        notes,
        sure=True,
        listing=listing,
        keys=known,
    )


def _all_shown(count: int) -> str:
    if count == 1:
        return "The video has only one frame; it is shown."
    return f"The video has only {count} frames; all of them are shown."
