"""Training any kind of model: its data, the fit on Ray Train, the comparison, the promotion."""
