"""What a person asks for: run, query, explain, plan, status, verify, evaluate, compare."""
