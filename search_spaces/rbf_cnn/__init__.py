"""rbf_cnn: Tables I to V and VII, on MNIST and, as `_cifar10`, on CIFAR-10.

Rows: rCNN is `plus=null`; rCNN+ says after which epoch its adversarial noise is made. Columns: `static` attacks see no
noise, as the paper's; `bpda` attacks see it and average 50 draws; the others go through the mean of the noisy passes,
by which a model predicts. C&W in the Linf ball is PGD on the margin. beta2 is a setting at test time: Table VII trains
one rCNN+, and the undefended network that its transfer attacks come from.

The paper scale has the paper's networks, numbers of filters, epochs and eps, and what the paper leaves out from the
authors' code: batch size, learning rate and its halving, which are rCNN's in every row. The steps of the attacks, which
neither gives, are ours. It is unverified until it is run. The quick scale of both is the same.
"""

from __future__ import annotations
