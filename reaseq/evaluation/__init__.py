"""How good a scorer is: metrics and the prequential run in which they are taken."""
