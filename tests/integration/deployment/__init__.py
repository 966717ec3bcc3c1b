"""A package, so that the deployment its tests share ends before the tests of others begin."""
