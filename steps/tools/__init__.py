"""The measuring programs, a file or folder each: command, server, parser. `steps.catalogue.tools` lists them."""
