"""baluarte.core.episodes: a change that lasts is told once, with a count; another one is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.drift import Alarm, Moved
from baluarte.core.episodes import Episode, fold

ARL = 1_000_000.0
WITHIN = int(0.05 * ARL)


def alarm(at: int, *channels: str) -> Alarm:
    share = 1 / len(channels)
    return Alarm(
        at=at,
        evidence=8e3,
        limit=7.8e3,
        arl=ARL,
        moved=tuple(
            Moved(channel=c, share=share, direction="up", value=1.0, low=0.1, high=0.2)
            for c in channels
        ),
    )


def folded(*alarms: Alarm, bundle: str = "sha256:1") -> tuple[Episode, ...]:
    episodes: tuple[Episode, ...] = ()
    for one in alarms:
        episodes, _ = fold(episodes, one, place=one.at, bundle=bundle)
    return episodes


def test_a_change_that_lasts_is_one_episode() -> None:
    alarms = [alarm(128 * i, "bytes", "service") for i in range(1, 46)]
    (episode,) = folded(*alarms)
    assert (episode.n, episode.first.at, episode.latest.at) == (45, 128, 45 * 128)
    assert episode.carried() == [("bytes", 0.5), ("service", 0.5)]


def test_an_alarm_led_by_what_had_not_moved_is_another_change() -> None:
    episodes = folded(alarm(128, "bytes"), alarm(256, "service", "bytes"), alarm(384, "bytes"))
    assert [(e.first.moved[0].channel, e.n) for e in episodes] == [("bytes", 2), ("service", 1)]


def test_after_a_quiet_time_the_same_channel_is_another_change() -> None:
    assert len(folded(alarm(128, "bytes"), alarm(128 + WITHIN, "bytes"))) == 1
    assert len(folded(alarm(128, "bytes"), alarm(129 + WITHIN, "bytes"))) == 2


def test_a_change_is_over_after_the_quiet_time_and_with_another_bundle() -> None:
    (episode,) = folded(alarm(128, "bytes"))
    assert episode.lasts("sha256:1", 128 + WITHIN)
    assert not episode.lasts("sha256:1", 129 + WITHIN)
    assert not episode.lasts("sha256:2", 128)
    other, is_new = fold((episode,), alarm(256, "bytes"), place=999, bundle="sha256:2")
    assert is_new
    assert len(other) == 2


@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.sampled_from("abc")), max_size=30),
)
def test_every_alarm_is_counted_once(steps: list[tuple[int, str]]) -> None:
    at, alarms = 0, []
    for step, channel in steps:
        at += step
        alarms.append(alarm(at, channel))
    episodes = folded(*alarms)
    assert sum(episode.n for episode in episodes) == len(alarms)
    assert [e.first.at for e in episodes] == sorted(e.first.at for e in episodes)
