"""What the person sees: the panel with its widgets, and the controller that connects it to the session."""
