"""pcl: Tables 3 to 7, 9 and 11 to 13.

Rows: `adversarial=null` is Ours, `attack=fgsm` and `attack=pgd` are Ours + AdvTrain; `fgsm_training` is AdvTrain by
itself. AutoAttack, which broke the authors' released model, stands beside Tables 3 and 4.

The paper scale has Sec. 6's networks, epochs, batches and learning rates. T, at which these fall, is counted from the
start of the training, as in Algorithm 1, so that CIFAR's joint stage begins with .01, as the authors' code does. From
this code come what the paper leaves out: momentum, tau, weight decay and augmentation. All rows of a table are trained
for as many epochs, but those of Table 12. The paper scale is unverified until it is run. The quick scale is on the
digits, with cnn6 in place of ResNet-110 but in Table 3.
"""

from __future__ import annotations
