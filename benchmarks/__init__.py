"""What `make bench` runs: our agents beside their peers and beside what the machine itself needs."""
