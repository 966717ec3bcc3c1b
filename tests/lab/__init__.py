"""What integration tests stand on: a private engine, a recording proxy, containers, agents and Compose, all real."""
