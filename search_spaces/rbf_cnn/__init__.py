"""rbf_cnn: Tables I to VII, on MNIST and, as `_cifar10`, on CIFAR-10.

Rows: rCNN is `plus=null`; a row of rCNN+ says after which epoch its adversarial noise is made. Columns: `static`
attacks see no noise, like the paper's; `bpda` attacks see it and average 50 draws; all others attack the mean of the
noisy passes, with which the model predicts. C&W in the Linf ball is PGD on the margin. beta2 is a setting at test time,
so Table VII trains one rCNN+ and the undefended network that its transfer attacks come from.

The paper scale takes networks, numbers of filters, epochs and eps from the paper. Batch size, learning rate and its
halving come from the authors' code; they are rCNN's in every row. Neither source gives the steps of the attacks, so
these are our own. The paper scale is unverified until it is run. The `_cifar10` studies have the same quick scale as
the others.
"""

from __future__ import annotations
