"""Many runs, one after the other or side by side."""
