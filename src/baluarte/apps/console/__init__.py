"""The control plane: people sign in, approve, promote, hand out keys; JSON and two pages."""
