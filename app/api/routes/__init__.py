"""The routes by subject. Each takes its service, calls it with a model, and returns its model."""
