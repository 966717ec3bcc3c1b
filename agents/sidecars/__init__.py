"""The suite as a whole: `sidecars doctor` looks at a running deployment and says what is wrong and what mends it."""
