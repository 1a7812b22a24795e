"""pcl: Tables 3 to 7, 9 and 11 to 13.

Rows: `adversarial=null` is the paper's Ours, `attack=fgsm` and `attack=pgd` are Ours + AdvTrain, and `fgsm_training` is
AdvTrain by itself. Tables 3 and 4 also have AutoAttack, which broke the model that the authors released.

The paper scale takes networks, epochs, batch sizes and learning rates from Sec. 6. The learning rate falls at T,
counted from the start of the training as in Algorithm 1; CIFAR's joint stage therefore begins with .01, as in the
authors' code. Momentum, tau, weight decay and augmentation, which the paper omits, come from that code too. All rows of
a table are trained for the same number of epochs, except in Table 12. The paper scale is unverified until it is run.

The quick scale uses the digits, and cnn6 in place of ResNet-110 except in Table 3.
"""

from __future__ import annotations
