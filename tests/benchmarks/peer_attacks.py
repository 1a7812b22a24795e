"""The attacks of torchattacks, foolbox, ART and pyautoattack at the settings of ours, for test_attack_speed.py.

Each function attacks a model that classifies images in [0, 1], all of `images` at once as its library's examples do,
and returns the share that stays correct at every eps. What a library does not have is not in PEERS.
"""

import importlib
import importlib.metadata
import warnings

import torch

DISTRIBUTIONS = {
    "torchattacks": "torchattacks",
    "foolbox": "foolbox",
    "art": "adversarial-robustness-toolbox",
    "pyautoattack": "pyautoattack",
}


def versions():
    """Return the version of each library that is there."""
    found = {}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)
            found[name] = importlib.metadata.version(distribution)
        except ModuleNotFoundError:
            continue
    return found


@torch.no_grad()
def accuracy(model, images, labels):
    return (model(images).argmax(1) == labels).float().mean().item()


def _foolbox(model, images, labels, attack, eps):
    import foolbox

    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
    _, _, success = attack(bounded, images, labels, epsilons=list(eps))
    return [1 - found.float().mean().item() for found in success]


def _art(model, images, labels, attack_of, eps):
    """Run `attack_of(classifier, eps)`, an attack of ART, at each eps."""
    found = [_made_by_art(model, images, labels, lambda classifier, e=e: attack_of(classifier, e)) for e in eps]
    return [accuracy(model, adversarial, labels) for adversarial in found]


def _made_by_art(model, images, labels, attack_of):
    from art.estimators.classification import PyTorchClassifier

    shape, classes = tuple(images.shape[1:]), model(images[:1]).shape[1]
    classifier = PyTorchClassifier(model, torch.nn.CrossEntropyLoss(), shape, classes, clip_values=(0.0, 1.0))
    return torch.from_numpy(attack_of(classifier).generate(images.numpy(), labels.numpy()))


def _within(model, images, labels, found, eps):
    """Return the share that stays correct at each eps where `found` are the nearest adversarial images."""
    with torch.no_grad():
        fooled = model(found).argmax(1) != labels
    size = (found - images).flatten(1).norm(dim=1)
    return [1 - (fooled & (size <= e)).float().mean().item() for e in eps]


def pgd_torchattacks(model, images, labels, *, eps, steps):
    import torchattacks

    return [
        accuracy(model, torchattacks.PGD(model, eps=e, alpha=2.5 * e / steps, steps=steps)(images, labels), labels)
        for e in eps
    ]


def pgd_foolbox(model, images, labels, *, eps, steps):
    import foolbox

    attack = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / steps, steps=steps, random_start=True)
    return _foolbox(model, images, labels, attack, eps)


def pgd_art(model, images, labels, *, eps, steps):
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    def attack(classifier, e):
        return ProjectedGradientDescentPyTorch(
            classifier,
            eps=e,
            eps_step=2.5 * e / steps,
            max_iter=steps,
            num_random_init=1,
            batch_size=len(images),
            verbose=False,
        )

    return _art(model, images, labels, attack, eps)


def cw_foolbox(model, images, labels, *, eps, steps, lr, search_steps, initial_const):
    import foolbox

    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=search_steps, steps=steps, stepsize=lr, initial_const=initial_const
    )
    return _foolbox(model, images, labels, attack, eps)


def cw_art(model, images, labels, *, eps, steps, lr, search_steps, initial_const):
    from art.attacks.evasion import CarliniL2Method

    def attack(classifier):
        return CarliniL2Method(
            classifier,
            learning_rate=lr,
            binary_search_steps=search_steps,
            max_iter=steps,
            initial_const=initial_const,
            batch_size=len(images),
            verbose=False,
        )

    return _within(model, images, labels, _made_by_art(model, images, labels, attack), eps)


def ddn_foolbox(model, images, labels, *, eps, steps):
    import foolbox

    return _foolbox(model, images, labels, foolbox.attacks.DDNAttack(steps=steps), eps)


def spsa_torchattacks(model, images, labels, *, eps, steps, pairs, lr):
    import torchattacks

    return [
        accuracy(model, torchattacks.SPSA(model, eps=e, lr=lr, nb_iter=steps, nb_sample=pairs)(images, labels), labels)
        for e in eps
    ]


def autoattack_torchattacks(model, images, labels, *, eps):
    """With the 100 steps of APGD and FAB as published; its own default is 10."""
    import torchattacks

    found = []
    for e in eps:
        attack = torchattacks.AutoAttack(model, eps=e)
        for member in attack._autoattack.attacks:
            if hasattr(member, "steps"):
                member.steps = 100
        found.append(accuracy(model, attack(images, labels), labels))
    return found


def autoattack_art(model, images, labels, *, eps):
    from art.attacks.evasion import AutoAttack

    return _art(model, images, labels, lambda c, e: AutoAttack(c, eps=e, eps_step=e / 4, batch_size=len(images)), eps)


def autoattack_pyautoattack(model, images, labels, *, eps):
    from pyautoattack import AutoAttack

    return [
        accuracy(model, AutoAttack(model, eps=e, seed=0).run_standard_evaluation(images, labels)[0], labels)
        for e in eps
    ]


PEERS = {
    "pgd": {"torchattacks": pgd_torchattacks, "foolbox": pgd_foolbox, "art": pgd_art},
    "cw": {"foolbox": cw_foolbox, "art": cw_art},
    "ddn": {"foolbox": ddn_foolbox},
    "spsa": {"torchattacks": spsa_torchattacks},
    "autoattack": {
        "torchattacks": autoattack_torchattacks,
        "art": autoattack_art,
        "pyautoattack": autoattack_pyautoattack,
    },
}
