"""The runtime of an agent that executes scripts: the example system that resile looks after.

Three processes. The `dispatcher` takes a script over HTTP, asks a policy database whether the
agent may run it, has the `scanner` look for malicious patterns, asks the `reasoner` for a plan,
runs the script in the knowledge base's folder and answers with its output.

Run each from the folder above this package: `python -m agent_runtime.dispatcher`.
"""
