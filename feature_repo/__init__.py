"""The Feast definitions. Applied through `feature_repo.definitions`, imported by no other code."""
