"""The commands of the distributor, and of single sources and targets."""
