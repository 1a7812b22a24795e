"""The same 32 short trials as a study of ours."""

from search_spaces.study import Study

STUDY = Study(
    name="short-trials",
    title="32 short trials",
    base={"dataset": "digits", "network.width": 8, "epochs": 2, "defense": "none"},
    space=({},),
    seeds=tuple(range(32)),
)
