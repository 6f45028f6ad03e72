"""What an arm costs: MACs, latency, memory, by stage."""
