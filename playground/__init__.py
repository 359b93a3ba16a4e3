"""The CNN playground: choose, train, watch and question a convolutional network."""

__version__ = "0.1.0"
