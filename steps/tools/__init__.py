"""The measuring programs, a file each: command line, server and parser. `steps.catalogue.tools` lists them."""
