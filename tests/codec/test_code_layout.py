# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
import itertools

import pytest
import torch

from llm_codec_hf.code_layout_llm_codec import CodeLayout, arrange


def test_a_group_has_one_code_of_layer_0_and_as_many_of_the_others_as_fit_in_its_span():
    layout = CodeLayout([4, 2, 1])
    assert layout == CodeLayout((4, 2, 1)) and hash(layout) == hash(CodeLayout((4, 2, 1)))
    assert (layout.num_layers, layout.codes_per_layer, layout.codes_per_group) == (3, (1, 2, 4), 7)
    assert layout.counts([0, 2]) == [1, 4]
    assert layout.rows([0, 2]).tolist() == [True, False, False, True, True, True, True]
    assert layout.rows(None).all() and layout.rows([1]).sum() == 2


@pytest.mark.parametrize("strides", [[], [4, 3], [2, 4], [0, 1], [4, -2], [True], [2.0, 1], ["2", 1]])
def test_strides_that_leave_no_whole_codes_in_a_group_are_refused(strides):
    with pytest.raises(ValueError, match="positive integers that divide the first of them, got "):
        CodeLayout(strides)


def test_layers_are_one_some_in_order_or_all():
    layout = CodeLayout((4, 2, 1))
    assert [layout.check_layers(x) for x in (None, 1, [0, 2])] == [(0, 1, 2), (1,), (0, 2)]
    for wrong in ([], [3], [1, 0], [1, 1], -1, torch.tensor(1.0).numpy()):
        with pytest.raises(ValueError, match=r"some of \[0, 1, 2\] in ascending order"):
            layout.check_layers(wrong)


def test_layers_in_time_order_are_rows_merged():
    layout = CodeLayout((4, 2, 1))
    layers = (torch.tensor([0, 1]), torch.arange(10, 14), torch.arange(20, 28))
    clip = torch.tensor([[0, 1], [10, 12], [11, 13], [20, 24], [21, 25], [22, 26], [23, 27]])
    assert layout.merge(layers).equal(clip)
    assert all(a.equal(b) for a, b in zip(layout.split(clip), layers))
    batch = torch.stack([clip, clip + 100])
    assert layout.merge(layout.split(batch)).equal(batch)
    assert layout.merge(layout.split(clip[:, :0])).shape == (7, 0)
    with pytest.raises(ValueError):
        layout.merge(layers[:2])


def test_codes_of_some_layers_stand_in_their_rows_of_the_whole():
    layout = CodeLayout((2, 1))
    assert layout.all_rows(torch.tensor([[5, 6]]), [0]).tolist() == [[5, 6], [-1, -1], [-1, -1]]
    assert layout.all_rows(torch.tensor([[1, 3], [2, 4]]), [1]).tolist() == [[-1, -1], [1, 3], [2, 4]]


@pytest.mark.parametrize("layout", ["layer_major", "time_major"])
def test_codes_in_the_order_of_their_ids_are_arranged_in_rows(layout):
    codes = CodeLayout((4, 2, 1))
    for layers in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in (1, 2, 3)):
        clip = torch.arange(codes.codes_per_group * 3).view(-1, 3)
        rows = clip[codes.rows(layers)]
        if layout == "time_major":
            flat = rows.T.reshape(-1)
        else:
            flat = torch.cat([codes.split(clip)[layer] for layer in layers])
        assert codes.arrange(flat.tolist(), layers, layout, 3).equal(rows)
        owners = torch.tensor([layer for layer, n in enumerate(codes.codes_per_layer) for _ in range(n)])
        assert codes.pattern(layers, layout, 3) == owners[flat // 3].tolist()


def test_codes_that_end_early_leave_single_codes_or_whole_groups_open():
    assert arrange([1, 2, 3, 4], [1, 2], "layer_major", 2).tolist() == [[1, 2], [3, -1], [4, -1]]
    assert arrange([1, 2, 3, 4], [1, 2], "time_major", 2).tolist() == [[1, -1], [2, -1], [3, -1]]
    assert arrange([], [1, 2], "time_major", 0).shape == arrange([], [1, 2], "layer_major", 0).shape == (3, 0)
