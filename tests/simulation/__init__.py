"""The whole daemon under one seed: real modules, and every interleaving that a seed can choose."""
