"""`reaseq models ui`: MLflow's pages on the registry of the system that runs here."""

from __future__ import annotations

from rich.console import Console

from ray_apps.cli.registry_commands import where_it_runs
from ray_apps.registry.connection import without_password
from ray_apps.registry.kinds import MODEL_KINDS, registry_of
from ray_apps.registry.ui import mlflow_environment, run_ui, server_address
from ray_apps.settings import Settings
from reaseq.errors import NotReadyError


def ui_command(settings: Settings, console: Console, host: str, port: int) -> None:
    """Serve MLflow's pages until Ctrl-C, or say where the registry's server has them."""
    settings = where_it_runs(settings)
    registry = registry_of(settings, next(iter(MODEL_KINDS)))
    address = server_address(registry.uri)
    if address:
        console.print(f"the registry is an MLflow server: open {without_password(address)}")
        return
    if registry.is_empty:
        raise NotReadyError(
            f"no model was trained in {settings.home} yet: `reaseq retrain` trains one"
        )
    environment = mlflow_environment(settings.home, console.print)
    console.print(f"MLflow's pages: [bold]http://{host}:{port}[/bold] (Ctrl-C ends them)")
    run_ui(environment, registry.uri, registry.folder / "runs", host, port)
