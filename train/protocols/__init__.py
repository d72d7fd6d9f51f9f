"""How weights are scored: one file a method, whose docstring says what is measured and how."""
