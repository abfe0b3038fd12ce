"""What stands in for Feast's own stores: guarded online writes, an exact offline join."""
