"""The pages by subject. Each takes its service, calls it with a model, and shows its model in a template."""
