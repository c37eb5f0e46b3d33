"""The faults themselves, one module for each family; `resile.chaos.catalogue` lists them."""
