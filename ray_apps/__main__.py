"""`python -m ray_apps` is the `reaseq` command."""

from ray_apps.cli import main

main()
