"""Training the ranker: the training set, the distributed fit, the comparison on held-out time."""
