"""The runtime of an agent that executes scripts: the example system that resile looks after.

Five processes. The `dispatcher` takes a script over HTTP, asks the policy `database` whether the
agent may run it, has the `scanner` look for malicious patterns, asks the `reasoner` for a plan,
runs the script in the knowledge base's folder, tells the `outside`, and answers with its output.

`resile up` starts them; each is run from the folder above this package.
"""
