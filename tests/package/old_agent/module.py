# the old agent: a package of Python modules
