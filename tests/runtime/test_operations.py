"""Operations, counted by hand."""

import torch
from torch import nn
from torch.nn import functional

from lmkit.runtime.operations import count_detection, count_operations


def test_a_convolution_is_two_operations_for_each_weight_and_place():
    network = nn.Conv2d(3, 8, 3, padding=1)
    assert count_detection(network, 16) == 2 * 3 * 8 * 9 * 16 * 16


def test_attention_counts_as_the_matrix_products_it_is():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x):
            x = self.weight * x.flatten(2).transpose(1, 2)
            return functional.scaled_dot_product_attention(x, x, x)

    assert count_detection(Attention(), 4) == 2 * (2 * 16 * 16 * 3)


def test_the_way_back_counts_too():
    weight = torch.ones(5, 7, requires_grad=True)
    given = torch.ones(3, 5)
    assert count_operations(lambda: (given @ weight).sum().backward()) == 2 * (2 * 3 * 5 * 7)
