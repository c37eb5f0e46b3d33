"""The process that keeps secrets: it alone holds the master key, and gives values to whoever may have them.

It is one of its own so that neither the brain, the guard nor the pages ever see a value.
"""
