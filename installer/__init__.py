"""Sets the program up with nothing but Python's standard library: environment, Krita plugin, demonstration, tests."""
