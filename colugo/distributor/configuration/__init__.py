"""Configuration: from a TOML file and plugins to the sources and targets of a distributor."""
