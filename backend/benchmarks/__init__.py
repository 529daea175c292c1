"""What the engine's ways of computing are worth: each against the naive form of the same formulas, in one run."""
