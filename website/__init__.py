"""The site that `make site` builds: README.md, CHANGELOG.md, docs/, and the reference that is made from the code.

Pages stay plain Markdown, for readers of the repository. What only the site needs (its navigation, titles in place of
file names, the pages of the reference) is added to copies of them, which Sphinx then builds with warnings as errors.
"""
