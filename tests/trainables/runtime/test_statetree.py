import json

import pytest
import torch

from trainables.runtime.statetree import pack, unpack


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


TREES = {
    "tensor": torch.arange(3.0),
    "scalar tensor": torch.tensor(5, dtype=torch.int64),
    "empty tensor": torch.empty(0, 3),
    "value": 1.5,
    "none": None,
    "nested": {"a": {"b": [torch.ones(2), {"c": torch.zeros(1)}]}, "d": "text", "e": True},
    "integer keys": {0: torch.ones(1), 1: torch.zeros(1), "1": 2},
    "empty containers": {"a": {}, "b": []},
    "tuple": (1, torch.ones(1)),
    "keys like the marks": {"$tensor": "x", "$list": [1], "$dict": 3},
    "dotted keys": {"a.b": torch.ones(1), "a": {"c": torch.zeros(1)}},
    "float of 17 digits": 0.1 + 0.2,
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_a_tree_comes_back_from_safetensors_and_json(tree, stored):
    assert equal(tree, stored(tree))


def test_an_optimisers_state_comes_back(stored):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    assert equal(optimizer.state_dict(), stored(optimizer.state_dict()))


def test_the_skeleton_holds_no_tensor():
    tensors, skeleton = pack(TREES["nested"])
    assert sorted(tensors) == ["state.a.b.0", "state.a.b.1.c"]
    assert json.loads(json.dumps(skeleton)) == skeleton


def test_unpack_of_pack_needs_no_copy():
    tree = {"a": torch.ones(2)}
    assert unpack(*pack(tree))["a"] is tree["a"]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        pytest.param({"a": [1, {2}]}, r"state\.a\.1 must be .*, got set", id="set"),
        pytest.param({"f": len}, r"state\.f must be .*, got builtin_function", id="function"),
    ],
)
def test_what_is_neither_tensor_nor_json_is_refused_with_its_path(tree, message):
    with pytest.raises(TypeError, match=message):
        pack(tree)
