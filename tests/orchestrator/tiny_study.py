"""A study of two rows, the baseline and a wider network; and the same rows measured."""

from search_spaces.study import Study, Transfer
from trainables.measures.registry import measure_spec

SMALL, BIG = "none width=4", "none width=8"
STUDY = Study(
    name="tiny_study",
    title="Width & <script>alert(1)</script> of 100% b_c",
    question="Is wider better?",
    paper="A_Paper",
    base={"defense": "none", "dataset": "digits"},
    space=({"network.width": (4, 8)},),
    baseline={"network.width": 4},
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1, 0.2)}, "pgd": {"name": "pgd", "eps": (0.1, 0.2)}},
    transfers={"from_small": Transfer(attack="pgd", source={"network.width": 4})},
    seeds=(0, 1),
)

MEASURED = STUDY.model_copy(
    update={
        "attacks": {},
        "transfers": {},
        "measures": {"slopes": measure_spec({"name": "gradients"})},
    }
)
