"""What every agent is built from: settings, logs, the engine's edge, state, liveness, metrics, notices, commands."""
