"""Language models behind the `TextGenerator` port, and the choice among them."""
