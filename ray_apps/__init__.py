"""The composition root: one module per Ray application, and the command line that starts them."""
