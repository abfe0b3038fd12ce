"""The model registry: versions, verdicts and which version is champion."""
