"""State as named tensors and JSON: what safetensors can hold of nested dicts, lists, numbers and tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

MARK = "$tensor"


def pack(tree: Any, name: str = "state") -> tuple[dict[str, Tensor], Any]:
    """Split a tree into its tensors, by path, and a JSON-able skeleton with their paths in their places.

    Keys may be strings or integers (as in an optimiser's state); they come back as they were.
    """
    if isinstance(tree, Tensor):
        return {name: tree}, {MARK: name}
    if isinstance(tree, dict):
        items = [[key, *pack(value, f"{name}.{key}")] for key, value in tree.items()]
        return _merged(items), {"$dict": [[key, skeleton] for key, _, skeleton in items]}
    if isinstance(tree, list | tuple):
        items = [[i, *pack(value, f"{name}.{i}")] for i, value in enumerate(tree)]
        return _merged(items), {"$list": [skeleton for _, _, skeleton in items]}
    if tree is None or isinstance(tree, bool | int | float | str):
        return {}, tree
    raise TypeError(f"{name} must be tensors, containers or JSON values, got {type(tree).__name__}")


def unpack(tensors: dict[str, Tensor], skeleton: Any) -> Any:
    """Put a packed tree together again; tuples come back as lists."""
    if not isinstance(skeleton, dict):
        return skeleton
    if MARK in skeleton:
        return tensors[skeleton[MARK]]
    if "$list" in skeleton:
        return [unpack(tensors, item) for item in skeleton["$list"]]
    return {key: unpack(tensors, item) for key, item in skeleton["$dict"]}


def _merged(items: list[list[Any]]) -> dict[str, Tensor]:
    pairs = [pair for _, tensors, _ in items for pair in tensors.items()]
    merged = dict(pairs)
    if len(merged) < len(pairs):
        raise ValueError(f"no two tensors may have one path, got keys {[key for key, _, _ in items]}")
    return merged
