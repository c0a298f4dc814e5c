"""Real monitoring servers, with the packages installed and the sample configurations as shipped."""
