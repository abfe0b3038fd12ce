"""What every command and job needs: folders, the Ray cluster, progress, quiet consoles."""
