"""Episodes: a change of the inputs that lasts alarms over and over; it is told once, with a count.

The monitor starts anew after every alarm, so a lasting change brings it back to its limit. An alarm
that follows another within 5 % of the promised run length would come with probability at most 5 %
if the inputs were as before: so the change goes on, and the alarm adds to it. What is led by a
channel that the change had not moved is another change, told as one. Fewer alarms are told, none
is made: the promise on false alarms stands as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from baluarte.core.drift import Alarm

_SURPRISE = 0.05  #: of the run length; by Markov the probability of a false alarm within it


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the inputs, from its first alarm on.

    Attributes:
        place: decisions of the detector before the first alarm, whatever version decided.
        bundle: digest of the bundle whose baseline the events moved away from.
        n: alarms so far.
        shares: each channel's shares of the alarms' evidence, added up.
    """

    place: int
    bundle: str
    first: Alarm
    latest: Alarm
    n: int = 1
    shares: dict[str, float] = {}

    def lasts(self, bundle: str, events: int) -> bool:
        """Whether the change goes on, as far as can be told.

        Args:
            events: seen since the bundle was armed.
        """
        quiet = events - self.latest.at
        return bundle == self.bundle and quiet <= _SURPRISE * self.latest.arl

    def carried(self) -> list[tuple[str, float]]:
        """Each channel with its mean share of the alarms, the most first."""
        means = [(channel, total / self.n) for channel, total in self.shares.items()]
        return sorted(means, key=lambda pair: -pair[1])


def fold(
    episodes: Sequence[Episode], alarm: Alarm, *, place: int, bundle: str
) -> tuple[tuple[Episode, ...], bool]:
    """The episodes with one more alarm, and whether it begins a new one.

    Args:
        episodes: oldest first.
        place: decisions before the alarm.
        bundle: whose monitor raised it.
    """
    leader = alarm.moved[0].channel if alarm.moved else None
    for i, episode in enumerate(episodes):
        if episode.lasts(bundle, alarm.at) and (leader is None or leader in episode.shares):
            grown = msgspec.structs.replace(
                episode, latest=alarm, n=episode.n + 1, shares=_added(episode.shares, alarm)
            )
            return (*episodes[:i], grown, *episodes[i + 1 :]), False
    began = Episode(place=place, bundle=bundle, first=alarm, latest=alarm, shares=_added({}, alarm))
    return (*episodes, began), True


def _added(shares: dict[str, float], alarm: Alarm) -> dict[str, float]:
    added = dict(shares)
    for moved in alarm.moved:
        added[moved.channel] = added.get(moved.channel, 0.0) + moved.share
    return added
