# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Episodes: what the sampler promises for any clips, and what the original's episode file holds."""

from collections import Counter, defaultdict

import pytest
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_codec_hf.evaluation.clips import Clip
from llm_codec_hf.evaluation.episodes import (
    Episode,
    describe_episodes,
    describe_scp,
    read_scp,
)
from llm_codec_hf.evaluation.sampling import sample_episodes

ORIGINAL = SHARED / "original" / "acc_9way_1_shot.scp"


def make_clips(labels: int, clips: int, groups: int | None = None) -> list[Clip]:
    """Clips of labels; their groups, if any, are shared by the labels."""
    return [
        Clip(f"{label}-{i}.wav", f"label{label}", b"", group=None if groups is None else str(i % groups))
        for label in range(labels)
        for i in range(clips)
    ]


@st.composite
def setups(draw):
    """Clips of some labels, with groups or without, that allow episodes."""
    ways, shots = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    labels = draw(st.integers(ways, 7))
    groups = draw(st.none() | st.integers(shots + 1, 9))
    clips = draw(st.integers(max(shots + 1, groups or 0), 14))
    return ways, shots, make_clips(labels, clips, groups)


@settings(max_examples=60, deadline=None)
@given(setups(), st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_sampler_keeps_its_promises(setup, count, per_support, seed):
    ways, shots, clips = setup
    by_id = {clip.id: clip for clip in clips}
    episodes = sample_episodes(clips, "t", ways, shots, count, per_support, seed)
    assert [episode.id for episode in episodes] == [f"t/{ways}-way-{shots}-shot/{i:05d}" for i in range(count)]
    supports = defaultdict(list)
    for episode in episodes:
        supports[episode.support].append(episode)
        shown = [clip for clip, _ in episode.examples]
        assert episode.query not in shown and len(set(shown)) == len(shown) == ways * shots
        assert by_id[episode.query].label == episode.truth
        assert all(by_id[clip].label == label for clip, label in episode.examples)
        assert len(set(episode.labels)) == ways
        for shot in range(shots):  # shot by shot, each label once
            labels = {label for _, label in episode.examples[shot * ways : (shot + 1) * ways]}
            assert labels == set(episode.labels)
        if by_id[episode.query].group is not None:
            assert by_id[episode.query].group not in {by_id[clip].group for clip in shown}
    for same in supports.values():
        assert len({(episode.examples, episode.labels) for episode in same}) == 1
        assert len({episode.query for episode in same}) == len(same) <= per_support
        truths = Counter(episode.truth for episode in same)
        assert max(truths.values()) - min(truths[label] for label in same[0].labels) <= 1
    assert len({episode.seed for episode in episodes}) == count
    truths = Counter(episode.truth for episode in episodes)
    difference = max(truths.values()) - min(truths[clip.label] for clip in clips)
    assert difference <= (1 if ways == len({clip.label for clip in clips}) else -(-per_support // ways))


@settings(max_examples=25, deadline=None)
@given(setups(), st.integers(1, 25), st.randoms(use_true_random=False))
def test_more_episodes_extend_the_earlier_and_clips_have_no_order(setup, count, random):
    ways, shots, clips = setup
    longer = sample_episodes(clips, "t", ways, shots, count + 17)
    shuffled = random.sample(clips, len(clips))
    assert sample_episodes(shuffled, "t", ways, shots, count) == longer[:count]


def test_seed_task_and_setting_change_the_draw():
    clips = make_clips(4, 20)
    draws = [
        sample_episodes(clips, task, ways, 1, 10, seed=seed)
        for task, ways, seed in [("t", 2, 0), ("u", 2, 0), ("t", 3, 0), ("t", 2, 1)]
    ]
    assert len({tuple((episode.query, episode.examples) for episode in draw) for draw in draws}) == 4


def test_the_draw_is_the_same_on_every_machine():
    episode = sample_episodes(make_clips(3, 6), "t", 2, 1, 7, seed=3)[6]
    assert episode == Episode(
        id="t/2-way-1-shot/00006",
        task="t",
        ways=2,
        shots=1,
        support="t/2-way-1-shot/s0000",
        examples=(("0-5.wav", "label0"), ("2-4.wav", "label2")),
        query="0-1.wav",
        truth="label0",
        labels=("label2", "label0"),
        seed=1447897645,
    )


def test_all_clips_are_queries_about_equally_often():
    clips = make_clips(3, 12)
    times = Counter(episode.query for episode in sample_episodes(clips, "t", 3, 2, 360))
    assert len(times) == len(clips) and max(times.values()) - min(times.values()) <= 6


def test_demonstrations_come_from_as_many_groups_as_there_are():
    clips = [Clip(f"{label}-{i}", label, b"", group=f"speaker{i // 10}") for label in "ab" for i in range(100)]
    for episode in sample_episodes(clips, "t", 2, 3, 20):
        for label in "ab":
            shown = [clip.split("-")[1] for clip, of in episode.examples if of == label]
            assert len({int(i) // 10 for i in shown}) == 3


def test_groups_with_many_clips_serve_where_groups_are_few():
    clips = [Clip(f"{label}-{i}", label, b"", group=f"speaker{i % 2}") for label in "ab" for i in range(20)]
    by_id = {clip.id: clip for clip in clips}
    for episode in sample_episodes(clips, "t", 2, 5, 20):
        assert {by_id[clip].group for clip, _ in episode.examples} != {by_id[episode.query].group}


def test_groups_are_mixed_on_request():
    clips = [Clip(f"{label}-{i}", label, b"", group="all the same") for label in "ab" for i in range(4)]
    assert len(sample_episodes(clips, "t", 2, 2, 10, group_disjoint=False)) == 10


def test_questions_are_asked_equally_often_after_demonstrations():
    clips, questions = make_clips(2, 1), {"0+0": "label0", "0+1": "label1", "1-1": "label0"}
    episodes = sample_episodes(clips, "t", 2, 1, 12, 3, questions=questions)
    assert Counter(episode.query for episode in episodes) == dict.fromkeys(questions, 4)
    assert all(questions[episode.query] == episode.truth and len(episode.examples) == 2 for episode in episodes)


@pytest.mark.parametrize(
    "clips, kwargs, message",
    [
        (make_clips(2, 3), {"shots": 3}, r"label 'label0' has 3 clips, 4 are needed"),
        (make_clips(2, 3), {"ways": 3}, r"needs 3 labels, the clips have 2"),
        (make_clips(2, 9, groups=1), {}, r"all 9 clips of label 'label0' are of one group"),
        (make_clips(2, 6, groups=2), {"shots": 4}, r"no groups that give label '.*' 4 demonstrations.*6 clips in 2"),
        (make_clips(2, 3), {"shots": 0}, r"are 1 or more, got 2, 0"),
        (make_clips(2, 3) + make_clips(1, 1), {}, r"several clips have the ids \['0-0.wav'\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(clips, kwargs, message):
    with pytest.raises(ValueError, match=message):
        sample_episodes(clips, "t", **{"ways": 2, "shots": 1, "episodes": 5} | kwargs)


def test_an_episode_needs_its_labels():
    fields = {"id": "e", "task": "t", "ways": 1, "shots": 1, "support": "s", "query": "q", "labels": ("a",)}
    with pytest.raises(ValueError, match="'b'"):
        Episode(**fields, truth="b", examples=(("c", "a"),))
    with pytest.raises(ValueError, match="no examples"):
        Episode(**fields, truth="a", examples=())


def test_episode_file(tmp_path):
    path = tmp_path / "two.scp"
    path.write_text("a/1.wav,b/1.wav,a/2.wav,\n\na/1.wav,b/1.wav,b/1.wav\nb/1.wav,a/1.wav,a/2.wav\n")
    episodes = read_scp(path)
    assert [episode.id for episode in episodes] == [f"two/2-way-1-shot/0000{i}" for i in range(3)]
    assert episodes[0].support == episodes[1].support != episodes[2].support  # the order counts
    assert episodes[0].examples == (("a/1.wav", "a"), ("b/1.wav", "b")) and episodes[0].query == "a/2.wav"
    assert episodes[1].truth == "b" and episodes[2].labels == ("b", "a")
    report = describe_episodes(episodes)
    assert report.truths == {"a": 2, "b": 1} and report.majority_share == pytest.approx(2 / 3)
    assert (report.demonstrations, report.demonstration_sets, report.queries) == (2, 1, 2)
    assert (report.queries_in_own_support, report.queries_demonstrated) == (1, 1)
    with pytest.raises(FileNotFoundError, match="3 of 3 clips"):
        read_scp(path, audio_root=tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        ("a/1.wav\n", "Line 1 .* is no episode"),
        ("a/1.wav,2.wav\n", "Line 1 .* is no episode"),
        ("a/1.wav,b/2.wav\n", r"Line 1 .*\['b'\] that are not among"),
        ("\n", "has no episodes"),
    ],
)
def test_damaged_episode_files_are_refused(tmp_path, content, message):
    (tmp_path / "x.scp").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_scp(tmp_path / "x.scp")


@pytest.mark.skipif(not ORIGINAL.is_file(), reason="needs ../shared/original, which is not part of the repository")
def test_the_originals_accent_episodes():
    report = describe_scp(ORIGINAL)
    assert report.episodes == 200 and report.settings == {"9-way-1-shot": 200}
    assert report.majority == "american" and report.majority_share == 0.415
    assert report.truths["american"] == 83 and sum(report.truths.values()) == 200
    assert report.demonstrations == 9 and report.demonstration_sets == 1
    assert report.queries_in_own_support == report.queries_demonstrated == 9
    text = "\n".join(report.lines())
    assert "'american' is right in 41.5%" in text and "9 episodes have their query among" in text
